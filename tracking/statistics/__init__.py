"""How far to believe a study's best value: corrections and intervals, from scores alone.

| module | holds |
|---|---|

Nothing here reads a store, or trains.
"""
