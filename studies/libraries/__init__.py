"""What is private of the libraries that train: used here and nowhere else.

| module | holds |
|---|---|
| `tensorflow_parts` | TensorFlow's |
| `keras_parts` | Keras's |

Each private name is declared once, with `search_spaces.private_parts`; each use of it is a
function. Where one is missing, in a later version or an earlier one, a function does without it
where it can. Else it raises `MissingPartError`, and whoever needs it turns its feature off: the
compiled trainer leaves the trial to `model.fit`, files of weights are written by Keras.
"""
