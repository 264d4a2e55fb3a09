"""What MLflow shows of studies, brought up to date from their journals by its client alone."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
