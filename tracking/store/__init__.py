"""The folder that holds everything, and its files.

| module | holds |
|---|---|
| `atomic` | atomic writes of files |
| `checkpoints` | whether a file of weights is sound |
| `databases` | whether a database is sound |
| `facts` | the store's own file: its format, owner and last place |
| `failures` | errors of the file system and of databases, as errors of the store |
| `folder` | the store: one folder with everything of its studies |
| `mlflow_client` | opening MLflow's database |
| `names` | names of studies |
| `new_database` | making the database of a new store |
| `orphans` | files without a study, moved aside |
| `study_locks` | locks of studies: one process at a time runs a study |
| `trust` | whose a store is |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
