"""Second floor: trying what a search space allows.

| module | holds |
|---|---|
| `again/` | a recorded training run again, and compared |
| `definition/` | a study's definition, as a value |
| `launching/` | starting or resuming a study: its record, its executor, its champion |
| `results/` | what came of a study, for scripts and notebooks |
| `champion/` | the champion: its value on the test part, another choice, its predictions |
| `confirming/` | the best trials again under new seeds |
| `exporting/` | what people and other tools take away: scripts, tables, models |
| `running/` | the driver: the loop that ties engine, executor and record together |
| `user_code/` | a user's code: loaded, sent to workers, recorded; where its errors are |
| `starting` | a study file to start from |
| `commands/` | the command line |
| `study` | the `Study` that users hold |
| `face` | the names that `kerastudy` gives |
| `progress/` | progress for the user |
| `lines`, `interruption` | text that fits a terminal; Ctrl-C and SIGTERM |
| `doctor` | checking and mending a store |
| `executors/` | where trials run |
| `training/` | from a spec to a stream of epochs |
| `engines/` | Optuna's samplers and Keras Tuner's oracles: they propose trials |
| `catalog/` | ready studies |
| `data/` | data sets, splits |
| `libraries/` | private parts of TensorFlow, Keras, Optuna and Keras Tuner |
| `error_texts` | the texts of errors of Keras, TensorFlow and users, in one line |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
