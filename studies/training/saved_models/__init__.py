"""A trial's best weights as a model of MLflow."""
