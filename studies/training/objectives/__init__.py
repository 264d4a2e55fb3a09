"""Objective functions that load, build, train and score by themselves, as Optuna's do.

| module | holds |
|---|---|
| `fits` | every `model.fit` of a function: watched, its data, the weights behind its value |
| `first_fit` | a function run up to its first `fit`: its hyperparameters, model, `trial` |
"""
