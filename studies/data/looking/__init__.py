"""Looking at data before a model is trained on it.

| module | holds |
|---|---|
| `look` | what is known of a study's data: all checks together, or the quick ones |
| `seen` | the samples that are looked at, by part |
| `repeats` | samples that occur twice, in one part or in two |
| `distributions` | the values of columns and of targets |
| `features` | samples as numbers, to compare parts |
| `same_distribution` | do two parts come from the same distribution? |
| `pictures` | a picture of image samples |
| `judging` | what is wrong, in sentences |
| `shifts` | whether parts come from the same distribution, in sentences |
"""
