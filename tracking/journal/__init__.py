"""A study's journal: the record of everything that came of it.

| module | holds |
|---|---|
| `schema` | the file, its tables and version; how it is opened |
| `writing` | writing it, by the process that holds the study |
| `reading` | reading it |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
