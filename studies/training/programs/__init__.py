"""Training by programs: whole epochs as TensorFlow functions, traced once for each structure."""
