"""The folder that holds everything, and its files.

| module | holds |
|---|---|
| `atomic` | files that are there whole or not at all |
| `checkpoints` | files of weights: whether their content is what was written |
| `databases` | whether a database is whole |
| `failures` | errors of the file system and of databases, as errors of the store |
| `folder` | the store: one folder with everything of its studies |
| `mlflow_client` | opening MLflow's database |
| `names` | names of studies |
| `orphans` | files that belong to nothing, moved aside |
| `study_locks` | locks of studies: one process at a time runs a study |
| `trust` | whose a store is |
"""
