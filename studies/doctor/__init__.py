"""Checks a whole store, and mends it.

| module | holds |
|---|---|
| `diagnosis` | all checks in their order; the locks |
| `trainings` | weights, restored by training; the states that trainings resume from |

The checks that need no training's state are in `tracking.doctor`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
