"""Scores of validation samples: computed from a training's best weights after it has ended.

| module | holds |
|---|---|
| `recording` | records the scores of a training |
| `samples` | the scores of a model's samples, compared with the recorded value |
| `predictions` | what a model predicts, many samples at a time |
| `objectives` | which scorer an objective has |
| `scorer` | `Scorer`, the protocol |
| `means` | scorers of losses and of metrics that are means |
| `counts` | scorers of metrics that are no means |
"""
