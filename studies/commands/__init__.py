"""The command line: arguments in, words out, no logic.

| module | holds |
|---|---|
| `command_line` | the command `kerastudy`; options, errors and output of all commands |
| `launch` | `launch` |
| `start` | `new` and `data` |
| `look` | `list`, `show`, `compare` and `diagnose` |
| `pages` | `report`, `ui` and `push` |
| `champion` | `predict`, `evaluate`, `promote`, `reproduce` and `confirm` |
| `export` | `export` |
| `housekeeping` | `delete` and `doctor` |
| `records` | finds the study that a command names; writes JSON |
| `texts/` | writes texts for people |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
