"""Training: from a trial's spec to a stream of epochs.

| module | holds |
|---|---|
| `building/` | from hyperparameters to a compiled model, checked against the study and its data |
| `champion/` | a trial's best weights as a model of MLflow |
| `process/` | the process of a training: seeds, settings, memory, versions |
| `programs/` | whole epochs as TensorFlow functions, traced once for each structure |
| `scoring/` | scores of validation samples |
| `states/` | the state of a training, to resume it bit for bit |
| `structures/` | a model's structure as a key, and numbers that are no part of it |
| `models` | facts about Keras models and callbacks; their variables, also ahead of the training |
| `streamed_batches` | data that comes in batches, for `model.fit` |
| `trainer` | `Trainer`, the protocol, and its arguments |
| `plain` | the trainer that calls `model.fit` |
| `batches` | training data in the order of each epoch, and validation data; arrays as tensors |
| `trial_run`, `watch` | running a trial; following its training epoch by epoch |
| `objective_run` | both for an objective function that trains by itself |
| `objective_fits` | every `model.fit` of such a function: watched, its data, its value's weights |
| `first_fit` | such a function up to its first `fit`: its hyperparameters, model, `trial` |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
