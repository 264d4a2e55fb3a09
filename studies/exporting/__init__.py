"""What a study is written into, for people and other tools to take away.

| module | holds |
|---|---|
| `script` | a trial as plain Keras with its study's files, from what is in `script_files` |
| `tables` | the trials as CSV or Parquet |
| `keras_file` | a trial's model as a `.keras` file |
| `tensorboard` | the trials as TensorBoard's event files |
| `optuna_export` | the record as a study of Optuna's, in another storage |
| `asked` | the trial and the file that the user asked for |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
