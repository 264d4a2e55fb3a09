"""Trials on a Ray cluster: each worker is an actor that runs a worker process on its node."""
