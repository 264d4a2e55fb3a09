"""What people see of runs and models in the MLflow UI.

| module | holds |
|---|---|
| `addresses` | addresses of pages |
| `commands` | commands to copy |
| `markdown` | Markdown for descriptions |
| `model_pages` | a registered model's descriptions |
| `trial_pages` | the name of a trial's run, and its description |
"""
