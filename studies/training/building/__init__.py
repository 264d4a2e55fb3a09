"""Finds hyperparameters, builds compiled models with them, and checks models against the data."""
