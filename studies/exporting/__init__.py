"""What a study is written into, for people and other tools to take away.

| module | holds |
|---|---|
| `script` | a trial as plain Keras with its study's files, from what is in `script_files` |
| `files` | the trials as CSV or Parquet, a trial's model as `.keras`; the files that users name |
| `tensorboard` | the trials as TensorBoard's event files |
| `optuna_export` | the record as a study of Optuna's, in another storage |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
