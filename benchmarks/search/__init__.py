"""Compares searches on tables of trained trials, to choose the default."""
