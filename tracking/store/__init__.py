"""The folder that holds everything, and its files.

| module | holds |
|---|---|
| `folder` | the store: one folder with everything of its studies |
| `study_locks` | locks of studies: one process at a time runs a study |
| `trust` | the store's own file: its format; whose a store is |
| `files` | atomic writes, sound files of weights, errors of the file system |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
