"""The command line: it reads arguments, calls the other packages, and prints what they return.

| module | holds |
|---|---|
| `command_line` | the command `kerastudy`; options, errors and output of all commands |
| `arguments` | finds the store, the study and the data that a command names |
| `texts/` | writes studies and trials as text and as JSON documents |
| other modules | the commands that the module's name lists |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
