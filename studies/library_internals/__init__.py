"""Access to private parts of TensorFlow, Keras, Optuna and Keras Tuner, and helpers for imports."""
