"""A trial's best weights as an MLflow model."""
