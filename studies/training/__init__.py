"""Training: from a trial's spec to a stream of epochs.

| module | holds |
|---|---|
| `trainer` | `Trainer`, the seam; what a trainer is given |
| `plain` | the trainer that calls `model.fit` |
| `batches` | training data in the order of each epoch, validation data as it is |
| `determinism` | seeds, threads, and names of layers |
| `building` | from hyperparameters to a compiled model, checked |
| `best_weights` | the weights of the best epoch, kept and written |
| `run_trial` | the whole of a trial: build, train, checkpoint |
| `champion` | a trial's best weights as a model of MLflow |
"""
