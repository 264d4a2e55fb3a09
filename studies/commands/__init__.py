"""The command line: arguments in, words out, no logic.

| module | holds |
|---|---|
| `command_line` | the command `kerastudy`, and how it prints errors |
| `new` | writes a study file to start from |
| `launch`, `reproduce` | commands that run trials |
| `launch_settings` | what the options of `launch` mean |
| `confirm` | the best trials again, under new seeds, and the test part |
| `evaluate`, `promote`, `predict` | the champion: on the test part, another one, its predictions |
| `list_studies`, `show`, `report`, `compare`, `ui` | commands that look at them |
| `data` | looks at a study's data before a model is trained on it |
| `diagnose` | what a study's record says about its search, and the launch that should follow |
| `push`, `export` | sending them to an MLflow server, writing them for people and other tools |
| `rename`, `delete` | changing a study's name, deleting it for ever |
| `doctor` | checking and mending the store |
| `trusting` | asking before running a stranger's code |
| `reading` | finding the study that the arguments name |
| `output` | what they print for programs: JSON |
| `texts/` | what they print for people |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
