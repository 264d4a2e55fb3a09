"""The user's code: finding it, loading it, recording it, and sending it to workers."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
