"""The definition of a study: its settings and their checks, seeds, and names of engines.

This package imports neither Optuna nor Keras Tuner, so that users need only one of them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
