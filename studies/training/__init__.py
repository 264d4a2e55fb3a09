"""Training: from a trial's spec to a stream of epochs.

| module | holds |
|---|---|
| `building/` | from hyperparameters to a compiled model, checked against the study and its data |
| `champion/` | a trial's best weights as a model of MLflow |
| `process/` | what the process brings to a training: seeds, settings, memory, versions |
| `programs/` | programs: whole epochs as TensorFlow functions, traced once for each structure |
| `states/` | states: what is kept of a training, to resume it bit for bit |
| `structures/` | what of a model decides its graph, as a key; and what does not |
| `models` | what a Keras model is like: its batches, its steps, its logs as numbers |
| `streamed_batches` | data that comes in batches, for `model.fit` |
| `trainer` | `Trainer`, the seam; what a trainer is given |
| `plain` | the trainer that calls `model.fit` |
| `callbacks` | which callbacks watch batches, or may change a model |
| `variables` | making variables ahead of the training |
| `batches` | training data in the order of each epoch, validation data as it is |
| `tensors` | data batch by batch; arrays as TensorFlow takes them |
| `run_trial`, `watch` | the whole of a trial; following its training epoch by epoch |
"""
