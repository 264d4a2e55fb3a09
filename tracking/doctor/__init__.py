"""Checks of a store, and how damage is mended. One function for each check.

| module | looks at |
|---|---|
| `findings` | what a check says, and what mends it |
| `folder` | `store.json`, the databases, files that were never finished |
| `artifacts` | folders of artifacts that the database does not know |
| `studies` | a study's runs, damaged and deleted ones too |
| `lost` | what was deleted in MLflow, and what leads out of the store |
| `runs` | runs left RUNNING, runs never finished being made, runs that can't be read |
| `definitions` | the study's definition and the text of its file |
| `checkpoints` | weights that are missing, damaged, or of no study |
| `champions` | the registered model |

Checks that need Optuna or the states of trainings are in `studies.doctor`, which runs them all.
Only files that can be made again are ever deleted; others are moved to ``orphans/``.
"""
