"""Builds compiled models from hyperparameters, and checks them against the study and its data."""
