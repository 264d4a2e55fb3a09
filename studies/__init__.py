"""Second floor: trying what a search space allows.

| module | holds |
|---|---|
| `again/` | a recorded training run again, and compared |
| `definition/` | what a study is, as a value |
| `launching/` | starting or resuming a study: its record, its executor, its champion |
| `running/` | the loop of a study that runs: engine, executor and record, one trial after another |
| `user_code/` | the code that a user brings: loaded, shipped, recorded; where its errors are |
| `commands/` | the command line |
| `study` | the `Study` that users hold |
| `progress`, `lines`, `interruption` | what a person sees, in lines that fit; Ctrl-C and SIGTERM |
| `doctor/` | a store looked through and mended |
| `executors/` | where trials run |
| `training/` | from a spec to a stream of epochs |
| `engines/` | what proposes hyperparameters |
| `catalog/` | ready studies |
| `data/` | data sets, splits |
| `libraries/` | what is private of the libraries that train |
| `error_texts` | the texts of errors of Keras, TensorFlow and users, in one line |
"""

from search_spaces.errors import StudyError
from studies.data import Dataset, datasets
from studies.study import Study

__all__ = ["Dataset", "Study", "StudyError", "datasets"]
