"""Builds the models of trials again, and saves them as models of MLflow."""
