"""What a study is written into, for people and other tools to take away.

| module | holds |
|---|---|
| `scripts/` | a trial as one file of plain Keras, which ends with the same weights |
| `tables` | the trials as CSV or Parquet |
| `keras_file` | a trial's model as a `.keras` file |
| `tensorboard` | the trials as TensorBoard's event files |
| `optuna_export` | the record as a study of Optuna's, in another storage |
| `asked` | the trial and the file that the user asked for |
"""
