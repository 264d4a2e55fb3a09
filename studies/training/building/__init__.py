"""From hyperparameters to a compiled model, checked against the study and its data."""
