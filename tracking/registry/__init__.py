"""The champion of a study as a registered model of MLflow.

| module | holds |
|---|---|
| `champions` | registering a trial's model as champion; withdrawing it |
| `logged_models` | a saved model among those that MLflow has logged, with its metrics |
| `model_files` | the files of registered models |
| `registered_models` | the registered model of a study |
| `registrar` | where a champion is registered: in a store, or on a server |
| `verdicts` | the verdict on a study, on its champion |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
