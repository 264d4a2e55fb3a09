"""What is wrong in a store, and how it is mended. One check a function.

| module | looks at |
|---|---|
| `findings` | what a check says, and what mends it |
| `folder` | `store.json`, the databases, files that were never finished |
| `artifacts` | folders of artifacts that the database does not know |
| `studies` | a study's runs, whatever ails them |
| `lost` | what was deleted in MLflow, and what leads out of the store |
| `runs` | runs left RUNNING, runs never finished being made, runs that can't be read |
| `definitions` | the study's definition and the text of its file |
| `checkpoints` | weights that are missing, damaged, or of no study |
| `champions` | the registered model |

What needs Optuna or the states of trainings is in `studies.doctor`, which also puts it together.
Nothing that can't be made again is ever deleted: what is of no use is moved to ``orphans/``.
"""
