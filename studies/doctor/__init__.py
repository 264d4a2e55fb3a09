"""Checks a whole store, and mends it.

| module | holds |
|---|---|
| `diagnosis` | all checks in their order; the locks |
| `retraining` | weights, restored by training |
| `states` | the states of trainings |

The checks that need no training's state are in `tracking.doctor`.
"""
