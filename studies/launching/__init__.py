"""Starting or resuming a study: its record, its executor, its champion.

| module | holds |
|---|---|
| `launch` | launches a study, new or resumed, from a file or an object |
| `opening` | the options of a launch; its study: store checked, lock taken, record read |
| `study_run` | runs a loaded study: its driver, its champion, its summary, its report |
| `choosing` | chooses a study's champion when its trials are done |
| `starting_values` | the values that a study starts with: a file's, or another study's best |
| `checking_data` | looks at the data of a study, and records what it found |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
