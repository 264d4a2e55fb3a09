"""The driver of a running study, and its parts.

| module | holds |
|---|---|
| `jobs` | runs jobs on an executor: trials, and what other rooms train |
| `driver` | a study's trials as jobs, which tie engine, executor and journal together |
| `search` | the next trial by the engine, the space, and whether the budget is spent |
| `running_trial` | a running trial: its record, its fits, their combined result |
| `study_trials` | a study's trials during a launch: do all fail alike, are all validated alike |
| `budget` | when a study ends, and when a training that hangs does |
| `definitions` | compares a study's definition with the recorded one |
| `retention` | which checkpoints and states stay on disk |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
