"""The objective of each validation sample, from which the choice of a trial is corrected.

| module | holds |
|---|---|
| `sample_scores` | the scores of samples after an epoch, and the objective of any resample |
| `files` | their files, and which trials of a study keep theirs |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
