"""Parameters, which have a name, a domain, a scale and a condition. The classes use attrs."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
