"""A user's code: what a target names, loaded, sent to workers, recorded; where its errors are."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
