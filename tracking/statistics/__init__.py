"""How far to believe a study's best value: corrections and intervals, from scores alone.

| module | holds |
|---|---|
| `sentences` | the verdict in sentences, wherever it is shown |

Nothing here reads a store, or trains.
"""
