"""A user's code: loaded, sent to workers, recorded; where its errors are.

| module | holds |
|---|---|
| `targets` | what a target on the command line names |
| `loading` | from a target to its study, also of files that launch it |
| `scripts` | scripts for Keras Tuner or Optuna: run up to their search |
| `user_modules` | the modules that a study imports from its own folder or repository; its commit |
| `shipping` | sends a study that was made in this process to its workers |
| `same_names` | packages of a user that have the names of ours |
| `causes` | errors of a user's code, in one line, with their place |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
