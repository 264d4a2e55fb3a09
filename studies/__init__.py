"""The highest of the three packages: studies, the commands, and the names that users import."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
