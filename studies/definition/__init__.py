"""A study's definition, as a value: its settings, each declared once, and what they may be.

It imports no engine, so that users may have only the library whose engine they use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
