"""A launch: locks a study, runs its trials within the budget, and chooses its champion."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
