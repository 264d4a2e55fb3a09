"""The MLflow UI: its server, and the views of a study that are prepared in it.

| module | holds |
|---|---|
| `server` | the UI on a store: started, on loopback unless asked, and stopped cleanly |
| `token_app` | a server behind a token, for other machines |
| `views` | prepared views of a study: *Trials*, *Charts* and *Curves* |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
