"""A recorded training run again, and compared.

| module | holds |
|---|---|
| `all_folds` | the champion of a cross-validated study, trained on all folds together |
| `recorded` | a process that has loaded a study as it was when a trial ran |
| `reproduction` | a trial run again from its record alone, in a new process, and compared |
| `reruns` | runs a recorded training again, from its first epoch to its end |
| `verification` | a champion-to-be, trained once more by plain `model.fit` |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
