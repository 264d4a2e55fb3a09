"""The champion: recorded trainings run again and compared; the choice, its value, its use."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
