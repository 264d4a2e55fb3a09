"""Trials on a Ray cluster: each worker is an actor that runs a worker process on its node."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
