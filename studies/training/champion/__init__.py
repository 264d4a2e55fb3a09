"""A trial's best weights as a model of MLflow.

| module | holds |
|---|---|
| `champion_model` | the model of a trial, built again, saved for MLflow, or trained on more data |
| `served` | the registered model: it takes samples before preprocessing; its signature |
| `champion_loader` | loads a registered model that Keras and MLflow can't load by themselves |
| `predictions` | what a model predicts of the validation data |
| `evaluation` | a checkpoint on the sealed test part, with intervals |
"""
