"""Checks a store, and mends it.

| module | holds |
|---|---|
| `findings` | the findings of checks, and mending them |
| `checks` | the checks: of the store's file, of journals, and of files beside them |

The checks of trainings' states, and training again what is lost, are in `studies.doctor`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
