"""A launch: it opens a study, drives its trials within the budget, and ends with a champion."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
