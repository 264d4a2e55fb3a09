"""What is private of the libraries that train and propose: used here and nowhere else.

| module | holds |
|---|---|
| `tensorflow_parts` | TensorFlow's |
| `keras_parts` | Keras's |
| `optuna_parts` | Optuna's |
| `keras_tuner_parts` | Keras Tuner's |

Each private name is declared once, with `search_spaces.private_parts`; each use of it is a
function. Where one is missing, in a later version or an earlier one, a function does without it
where it can. Else it raises `MissingPartError`, and whoever needs it turns its feature off: the
compiled trainer leaves the trial to `model.fit`, files of weights are written by Keras, TPE samples
as Optuna's own does, an oracle is refused.
"""
