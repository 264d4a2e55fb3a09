"""What a study is written into, for people and other tools to take away.

| module | holds |
|---|---|
| `script` | a trial as one file of plain Keras, which ends with the same weights |
| `script_head`, `script_text` | its text |
| `script_parts` | what the script needs of the study, found in a worker process |
| `builder_code`, `stand_in` | the builder as text that stands alone, and its `hp` |
| `code_edits` | edits of a text by the nodes of its syntax tree |
| `data_code` | the data as a few lines, or as a file of arrays |
| `tables` | the trials as CSV or Parquet |
| `keras_file` | a trial's model as a `.keras` file |
| `tensorboard` | the trials as TensorBoard's event files |
| `optuna_export`, `optuna_tables` | the record as a study of Optuna's, in another storage |
| `asked` | the trial and the file that the user asked for |
"""
