"""What came of a study, for scripts and notebooks.

| module | holds |
|---|---|
| `study_results` | a recorded study, and what users do with it |
| `trial` | one of its trials |
| `samples` | samples in memory, as a registered model takes them |
| `models` | loading the models of trials, with their own layers and losses |
| `diagnosing` | what a record says about its search |
| `changes` | deleting and renaming studies |
| `markup` | both as HTML, for notebooks |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
