"""Private parts of TensorFlow, Keras, Optuna and Keras Tuner, a module for each; late imports.

If a part is missing, its function does without it, or raises `MissingPartError`.
"""
