"""The objective of each validation sample, from which the choice of a trial is corrected.

| module | holds |
|---|---|
| `sample_scores` | the scores of samples after an epoch, and the objective of any resample |
| `formulas` | objectives that are no mean over samples |
| `kept` | which trials keep theirs |
| `pooling` | those of a cross-validated trial: all samples, each from its fold |
| `score_files` | their files |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
