"""The command line: arguments in, words out, no logic.

| module | holds |
|---|---|
| `command_line` | the command `kerastudy`; shared by all: options, errors, output, trust |
| `launch` | runs a study |
| `start` | `new` writes a study file; `data` looks at data before a model is trained |
| `again` | `reproduce` and `confirm` train trials again |
| `look` | `list`, `show`, `compare` and `diagnose` look at the record |
| `pages` | `report`, `ui` and `push`: pages in a browser, here or on an MLflow server |
| `champion` | `predict`, `evaluate` and `promote` |
| `export` | writes studies for people and other tools |
| `housekeeping` | `rename`, `delete` and `doctor` |
| `records` | the study that the arguments name; what commands print for programs: JSON |
| `texts/` | what they print for people |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
