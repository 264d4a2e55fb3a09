"""A trial's best weights as a model of MLflow.

| module | holds |
|---|---|
| `bootstrap` | intervals of everything that a model is compiled with |
| `champion_loader` | loads a registered model that Keras and MLflow can't load by themselves |
| `champion_model` | a trial's best weights as a model that MLflow can load |
| `evaluation` | a checkpoint on the sealed test part |
| `pictured` | a sample for people to look at |
| `predictions` | what a model predicts of the validation data |
| `refitting` | a trial's configuration, trained on training and validation data |
| `objective_champion` | the model of an objective function, built again |
| `served` | the registered model of a study: it takes samples before preprocessing |
| `paired_outputs` | targets and predictions, output by output |
| `signatures` | types and shapes of a model's inputs and outputs |
"""
