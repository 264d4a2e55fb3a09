"""Second floor: trying what a search space allows.

| module | holds |
|---|---|
| `commands/` | the command line |
| `study` | the `Study` that users hold |
| `launching` | starting a study, or going on with it: from a file or an object |
| `launch_options` | how it is launched |
| `taking_up` | its store is checked, it is held, its record is read |
| `running_studies` | its driver, its champion, its summary |
| `mirroring` | having its record on an MLflow server too |
| `driver` | the loop that ties engine, executor and tracking together |
| `proposals`, `running` | the engine as the driver uses it; a trial that runs |
| `budget`, `time_limit`, `clock` | when a study ends; trainings that hang; time |
| `best_so_far` | the best trial, and its curve in the record |
| `progress`, `interruption` | what a person sees; Ctrl-C and SIGTERM |
| `choosing` | its champion, at the end |
| `champions` | loading it |
| `verification` | whether plain `model.fit` comes to that |
| `reproduction` | a trial again, compared |
| `doctor/` | a store looked through and mended |
| `reruns` | a recorded training that runs again |
| `validation_parts` | whether trials were validated on the same samples |
| `first_trials`, `retrying` | whether the first trials fail alike; infeasible ones again |
| `definitions` | whether a study is the recorded one; what its engine can't serve |
| `specs`, `repeats`, `retention` | what a trial is made of, what it comes to, what stays of it |
| `executors/` | where trials run |
| `training/` | from a spec to a stream of epochs |
| `engines/` | what proposes hyperparameters |
| `catalog/` | ready studies |
| `loading` | from a file to a study |
| `same_names` | a user's packages that have the names of ours |
| `commits` | the git commit that its code is of |
| `own_modules`, `recorded_modules` | what a study imports of its own; the same from a record |
| `shipping` | a study of this process, sent to its workers |
| `self_launching` | files that launch their own studies |
| `study_definition` | what a study is, as a value |
| `objective`, `settings`, `seeds` | what is better; names of engines; every random choice |
| `setting_checks`, `class_weights` | checks of settings; weights of classes |
| `engine_options`, `engine_objects` | settings of engines and pruners; both as objects |
| `outputs` | output layers and losses that fit a target |
| `data/` | data sets, splits |
| `libraries/` | what is private of the libraries that train |
| `errors`, `causes` | the texts of errors; what a user's code raised, and where |
"""

from studies.data import Dataset, datasets
from studies.errors import StudyError
from studies.study import Study

__all__ = ["Dataset", "Study", "StudyError", "datasets"]
