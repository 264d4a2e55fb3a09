"""Determinism: the same spec gives the same bits, in a new process or after other trials."""
