"""Runs the trials of a study, and checks the study before its first trial."""
