"""The way in for code of others: a script of Keras Tuner's or Optuna's becomes a study file.

| module | holds |
|---|---|
| `import_script` | writing the study file |
| `watching` | runs a script up to its search |
| `excerpt`, `statements` | the part of the script that the study needs |
| `study_file` | the text of the study file |
| `data_text` | the script's data |
| `keras_tuner_scripts`, `optuna_scripts` | what a tuner, or Optuna's study, says |
"""
