"""The champion: how it is chosen, verified, confirmed and used.

To verify and confirm it, recorded trials are trained again, and the results are compared.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
