"""A launch: a study opened, its driver with what it decides, and the end with a champion."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
