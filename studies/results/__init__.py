"""What came of a study, for scripts and notebooks.

| module | holds |
|---|---|
| `study_results` | a recorded study and its trials; diagnosing, deleting and renaming studies |
| `models` | loading the models of trials; samples as they take them |
| `markup` | studies and trials as HTML, for notebooks |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
