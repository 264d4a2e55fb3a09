"""How far to believe a study's best value: corrections and intervals, from scores alone.

| module | holds |
|---|---|
| `resamples` | bootstrap resamples of a part of the data, in blocks |
| `corrected` | the best value, corrected for being the best of many (BBC), or confirmed |
| `crossed` | the variance of a mean over seeds and samples |
| `shares` | intervals of values between 0 and 1, such as accuracies |
| `losses` | intervals of losses, and whether their tails are too heavy for one |
| `gain` | how much better than the defaults, on the same seeds and samples |
| `readings` | the level of an interval after several readings of the same test part |
| `race` | the rounds of a race, and who stays in it |
| `sentences` | the verdict in sentences, wherever it is shown |

Nothing here reads a store, or trains. NumPy and SciPy suffice, and each rule names its source.
"""
