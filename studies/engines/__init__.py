"""Engines: what proposes hyperparameters.

| module | holds |
|---|---|
| `engine` | `Engine`, the seam |
| `optuna_engine` | Optuna's samplers and pruners behind it |
| `optuna_parts` | which sampler and pruner a name stands for |
| `optuna_export` | finished trials in Optuna's own storage |
"""
