"""The champion of a study as a registered model of MLflow.

| module | holds |
|---|---|
| `champions` | registering a trial's model as champion; withdrawing it; the verdict on it |
| `models` | the logged and the registered model behind it, in a store or on a server |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
