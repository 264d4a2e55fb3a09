"""A copy of a study's record on an MLflow server.

| file | holds |
|---|---|
| `server` | the server's address, and what may go wrong with it |
| `study_copy` | what the server has of a study, and what it lacks |
| `mirror` | sending it in the background while the study runs |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
