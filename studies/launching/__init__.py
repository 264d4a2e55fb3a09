"""Starting or resuming a study: its record, its executor, its champion.

| module | holds |
|---|---|
| `checking_data` | looks at the data of a study, and records what it found |
| `choosing` | chooses a study's champion when its trials are done |
| `launch` | launches a study, new or resumed, from a file or an object |
| `launch_options` | the options of a launch, as one value |
| `mirroring` | sends a study's record to an MLflow server too |
| `opening` | opens a study: checks its store, takes its lock, reads its record |
| `reporting` | the report at the end of a launch |
| `starting_values` | the values that a study starts with: a file's, or another study's best |
| `retrying` | trains infeasible trials again, after the user mended the cause |
| `study_run` | runs a loaded study: its driver, its champion, its summary |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
