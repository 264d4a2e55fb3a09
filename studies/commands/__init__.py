"""The command line: it reads arguments, calls the other packages, and prints what they return.

| module | holds |
|---|---|
| `command_line` | the command `kerastudy`, and what all commands share |
| `study_as_text_and_json` | writes a study, or a trial, as text and as a JSON document |
| other modules | the commands that the module's name lists |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
