"""The driver of a running study, and its parts.

| module | holds |
|---|---|
| `budget` | when a study ends: by trials, time, value or patience |
| `definitions` | compares a study's definition with the recorded one |
| `driver` | the loop that ties engine, executor and tracking together |
| `folds` | the result of a cross-validated trial |
| `proposals` | the engine, with results as they come, or in order |
| `retention` | which checkpoints and states stay on disk |
| `running_trial` | a running trial: its record, its trainings, their combined result |
| `search` | the next trial, the space, the best so far, and whether the budget is spent |
| `specs` | from an engine's proposal to an executor's task |
| `study_trials` | a study's trials during a launch; whether the first ones all fail alike |
| `time_limit` | a time limit for trainings that hang, or never end, and its clock |
| `trial_runs` | the runs of trials and their trainings: begun, ended, closed |
| `validation_parts` | whether trials were validated on the same samples |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
