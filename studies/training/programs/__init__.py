"""Training by programs: TensorFlow functions that train a whole epoch per call."""
