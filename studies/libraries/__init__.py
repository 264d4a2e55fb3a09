"""Access to private parts of TensorFlow, Keras, Optuna and Keras Tuner, and helpers for imports.

If a private part is missing, its function does without it, or raises `MissingPartError`.
"""
