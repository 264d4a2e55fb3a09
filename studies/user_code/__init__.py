"""A user's code: loaded, sent to workers, recorded; where its errors are.

| module | holds |
|---|---|
| `causes` | errors of a user's code, in one line, with their place |
| `commits` | the git commit of a study's code, if it is in a repository |
| `loading` | from a target to its study |
| `user_modules` | the modules that a study imports from its own folder or repository |
| `recorded_modules` | the same modules, from a record |
| `same_names` | packages of a user that have the names of ours |
| `scripts` | scripts for Keras Tuner or Optuna: run up to their search |
| `self_launching` | scripts that call ``study.launch()`` at their top level |
| `shipping` | sends a study that was made in this process to its workers |
| `targets` | what a target on the command line names |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
