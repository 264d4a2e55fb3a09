"""Looking at data before a model is trained on it.

| module | holds |
|---|---|
| `look` | all checks together, or the quick ones: what is wrong with data, in sentences |
| `seen` | the samples that are looked at, and a picture of them |
"""
