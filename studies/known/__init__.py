"""Results that a study did not make itself: what to begin with, and to compare with.

| module | holds |
|---|---|
| `import_study` | naming their place, as users do |
| `reading` | reading them for a study's space |
| `of_optuna`, `of_mlflow`, `of_keras_tuner` | reading each kind of place |
| `results` | a result, as its record has it |
"""
