"""The objective of each validation sample, from which the choice of a trial is corrected.

| module | holds |
|---|---|
| `sample_scores` | the scores of samples after an epoch, and the objective of any resample |
"""

from tracking.scores.sample_scores import SampleScores

__all__ = ["SampleScores"]
