"""Checks a whole store, and mends it.

| module | holds |
|---|---|
| `diagnosis` | every check in its order; the locks |
| `copies` | Optuna's copy of the record |
| `retraining` | weights, restored by training |
| `states` | the states of trainings |

The checks that need neither Optuna nor a training's state are in `tracking.doctor`.
"""
