"""Access to private parts of TensorFlow, Keras, Optuna and Keras Tuner, and their late imports."""
