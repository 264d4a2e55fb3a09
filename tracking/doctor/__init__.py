"""Checks of a store, and how damage is mended. One function for each check.

| module | looks at |
|---|---|
| `findings` | findings of checks, mending them, and the studies that are checked |
| `files` | `store.json`, the databases, artifacts, weights: missing, damaged, or of no study |
| `runs` | runs left RUNNING, incomplete or unreadable; what was deleted in MLflow |
| `definitions` | the study's definition, the text of its file, the registered model |

Checks that need the states of trainings are in `studies.doctor`, which runs them all.
Only files that can be made again are ever deleted; others are moved to ``orphans/``.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
