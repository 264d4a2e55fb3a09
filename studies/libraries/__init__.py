"""Private parts of the libraries that train and propose, used only here; what replaces theirs.

| module | holds |
|---|---|
| `tensorflow_parts` | TensorFlow's |
| `keras_parts` | Keras's |
| `keras_metrics` | those of its losses and metrics |
| `optuna_parts` | Optuna's |
| `keras_tuner_parts` | Keras Tuner's |
| `silence` | importing TensorFlow without a trace on the terminal |
| `late_imports` | parts of Keras that are loaded at their first use |
| `searches` | ends a script at its search by Keras Tuner or Optuna |
| `layer_names` | names of layers that TensorFlow takes |

Each private name is declared once, with `search_spaces.library_parts`; each use of it is a
function. If one is missing in another version, a function does without it if it can. Otherwise it
raises `MissingPartError`, and its caller turns the feature off: `model.fit` trains instead of the
compiled trainer, Keras writes files of weights, TPE samples as Optuna's own does, an oracle is
refused.
"""
