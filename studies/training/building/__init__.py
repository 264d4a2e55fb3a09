"""From hyperparameters to a compiled model, checked against the study and its data.

| module | holds |
|---|---|
| `build` | builds compiled models, and callbacks; which way their metrics get better |
| `discovering` | a study's space: declared, or found by tracing its builder; then tailored |
| `hypermodel` | the trainer of a Keras Tuner HyperModel with its own `fit` |
| `made_data` | data and class weights that functions of `hp` make |
| `own_code` | a model's own code: its layers, losses and functions that are not Keras's, as text |
| `target_checks` | whether outputs and losses can fit their targets |
| `trying` | trying the study's default model on a few samples, and building it twice |
"""
