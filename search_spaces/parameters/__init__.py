"""Parameters: a name, a domain, a scale, a condition. They are classes of attrs."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
