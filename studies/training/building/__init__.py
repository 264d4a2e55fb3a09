"""From hyperparameters to a compiled model, checked against the study and its data.

| module | holds |
|---|---|
| `build` | builds compiled models from hyperparameters, and checks them before training |
| `compared_outputs` | pairs the outputs of a model with their targets and losses |
| `discovering` | a study's space: declared, or found by tracing its builder; then tailored |
| `hypermodel` | the trainer of a Keras Tuner HyperModel with its own `fit` |
| `made_data` | data and class weights that functions of `hp` make |
| `metric_directions` | which way a metric gets better, by its object |
| `own_code` | a model's own code: its layers, losses and functions that are not Keras's, as text |
| `repeated_builds` | whether a builder makes the same model of the same hyperparameters |
| `target_checks` | whether output and loss can fit the targets |
| `trying` | trying the study's model on a few samples |
"""
