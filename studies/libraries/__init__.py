"""Private parts of TensorFlow, Keras, Optuna and Keras Tuner, used only here; importing them.

| module | holds |
|---|---|
| `tensorflow_parts` | TensorFlow's |
| `keras_parts` | Keras's |
| `optuna_parts` | Optuna's |
| `keras_tuner_parts` | Keras Tuner's |
| `importing` | importing TensorFlow and Keras quietly, and without parts that are never used |
| `searches` | ends a script at its search by Keras Tuner or Optuna |

Each private name is declared once, with `search_spaces.library_parts`; each use of it is a
function. If one is missing in another version, a function does without it if it can. Otherwise it
raises `MissingPartError`, and its caller turns the feature off: `model.fit` trains instead of the
compiled trainer, Keras writes files of weights, TPE samples as Optuna's own does, an oracle is
refused.
"""
