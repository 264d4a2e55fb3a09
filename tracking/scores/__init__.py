"""The objective of each validation sample, from which the choice of a trial is corrected.

| module | holds |
|---|---|
| `sample_scores` | the scores of samples after an epoch, and the objective of any resample |
| `formulas` | objectives that are no mean over samples |
| `kept` | which trials keep theirs |
| `pooling` | those of a cross-validated trial: all samples, each from its fold |
| `score_files` | their files |
"""

from tracking.scores.sample_scores import SampleScores, average
from tracking.scores.score_files import ScoresError, read_scores, write_scores

__all__ = ["SampleScores", "ScoresError", "average", "read_scores", "write_scores"]
