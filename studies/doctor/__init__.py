"""The whole of a store, looked through and mended.

| module | holds |
|---|---|
| `diagnosis` | every check in its order; the locks |
| `copies` | Optuna's copy of the record |
| `retraining` | weights, made again |
| `states` | the states of trainings |

The checks that need neither Optuna nor a training's state are in `tracking.doctor`.
"""
