"""Scores of validation samples: computed from a training's best weights after it has ended.

| module | holds |
|---|---|
| `recording` | records the scores of a training |
| `samples` | the scores of a model's samples, from predictions made many at a time |
| `objectives` | how the samples of each objective are scored |
"""
