"""From hyperparameters to a compiled model, checked against the study and its data.

| module | holds |
|---|---|
| `build` | builds compiled models, and callbacks, from hyperparameters |
| `compared_outputs` | pairs the outputs of a model with their targets and losses |
| `discovering` | a study's space: declared, or found by tracing its builder; then tailored |
| `hypermodel` | the trainer of a Keras Tuner HyperModel with its own `fit` |
| `made_data` | data and class weights that functions of `hp` make |
| `metric_directions` | which way a metric gets better, by its object |
| `module_parts` | the part of a module's text that some of its classes and functions need |
| `own_code` | a model's own code: its layers, losses and functions that are not Keras's, as text |
| `target_checks` | whether output and loss can fit the targets |
| `trying` | trying the study's default model on a few samples, and building it twice |
"""
