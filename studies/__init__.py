"""The top floor: studies, from their definition to their champion; commands and the public face."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
