"""How far to believe a study's best value: corrections and intervals, from scores alone.

| module | holds |
|---|---|
| `corrections` | the best value, corrected for being the best of many (BBC), or confirmed |
| `intervals` | intervals of shares, losses and a gain on samples without a choice; resamples |
| `race` | the rounds of a race, and who stays in it |
| `sentences` | the verdict in sentences, wherever it is shown |

Nothing here reads a store, or trains. NumPy and SciPy suffice, and each rule names its source.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
