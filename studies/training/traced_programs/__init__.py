"""Training by programs: TensorFlow functions that all models of a structure share."""
