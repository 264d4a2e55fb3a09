"""`SearchSpace`: parameters together.

| module | holds |
|---|---|
| `search_space` | the hyperparameters of a study, with their domains and conditions |
| `alterations` | parameters fixed, replaced or added; what becomes of conditions |
| `membership` | whether values are in a space, with the reason; completing them |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
