"""The driver of a running study, and its parts.

| module | holds |
|---|---|
| `best_so_far` | the best trial so far, and its curve in the record |
| `budget` | when a study ends: by trials, time or target |
| `clock` | time during which this process runs |
| `definitions` | compares a study's definition with the recorded one |
| `driver` | the loop that ties engine, executor and tracking together |
| `first_trials` | whether the first trials of a launch all fail alike |
| `proposals` | the engine, with results as they come, or in order |
| `repeats` | combines the results of a repeated trial's trainings |
| `retention` | which checkpoints and states stay on disk |
| `running_trial` | a running trial: its record and its trainings |
| `search` | the next trial, the space, and whether the budget is spent |
| `specs` | from an engine's proposal to an executor's task |
| `study_trials` | a study's trials during a launch |
| `time_limit` | a time limit for trainings that hang, or never end |
| `trial_runs` | the runs of trials and their trainings: begun, ended, closed |
| `validation_parts` | whether trials were validated on the same samples |
"""
