"""From a trial's spec to a stream of epochs: building models, training them, keeping the best."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
