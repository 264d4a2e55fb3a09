"""Records studies and reads them back. It may import `search_spaces`, but not `studies`."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
