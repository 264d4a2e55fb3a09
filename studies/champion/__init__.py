"""The champion: its value on the test part, another choice, its predictions.

| module | holds |
|---|---|
| `checkpoints` | the trial that is meant, and its weights, trained again if they are gone |
| `evaluation` | a checkpoint on the sealed test part, with intervals |
| `promotion` | another choice of the champion; a model trained on validation data too |
| `prediction`, `inputs` | predictions of files |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
