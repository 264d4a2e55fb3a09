"""Evaluates trained models: scores of single samples, predictions, the sealed test part."""
