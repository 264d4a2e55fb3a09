"""Objective functions that load, build, train and score by themselves, as Optuna's do.

| module | holds |
|---|---|
| `fits` | watching every `model.fit` that a function calls, and what `model.evaluate` measures |
| `fit_data` | digests of the data that a `fit` gets |
| `first_fit` | running a function up to its first `fit`: its hyperparameters, its model |
| `objective_trial` | the `trial` that such a function gets |
| `measured_weights` | the weights that a returned value was measured with |
"""
