"""Saves trained models as models of MLflow, and loads them."""
