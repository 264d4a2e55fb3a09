"""The command line: it reads arguments, calls the other packages, and prints what they return."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
