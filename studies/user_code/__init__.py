"""A user's code: targets, loading, recording, sending to workers; the places of errors."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
