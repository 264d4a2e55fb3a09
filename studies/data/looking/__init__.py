"""Looking at data before a model is trained on it.

| module | holds |
|---|---|
| `look` | what is known of a study's data: all checks together, or the quick ones |
| `seen` | the samples that are looked at, by part, and a picture of them |
| `checks` | what is wrong, in sentences |
"""
