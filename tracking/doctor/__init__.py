"""Checks of a store, and how damage is mended. One function for each check.

| module | looks at |
|---|---|
| `findings` | findings of checks, and mending them |
| `folder` | `store.json`, the databases, partial files |
| `artifacts` | folders of artifacts that are not in the database |
| `studies` | a study's runs, damaged and deleted ones too |
| `lost` | what was deleted in MLflow, and what leads out of the store |
| `runs` | runs left RUNNING, incomplete runs, unreadable runs |
| `definitions` | the study's definition and the text of its file |
| `checkpoints` | weights that are missing, damaged, or of no study |
| `champions` | the registered model |

Checks that need the states of trainings are in `studies.doctor`, which runs them all.
Only files that can be made again are ever deleted; others are moved to ``orphans/``.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
