"""Saves a trial's model, with its best weights, as a model of MLflow."""
