"""Parameters: a name, a domain, a scale, a condition.

| module | holds |
|---|---|
| `parameter` | what all parameters share: a name, a default, a role, a condition |
| `ranges` | `Float` and `Int`: a number from a range, on a scale, perhaps in steps |
| `choices` | `Choice`, `Boolean` and `Fixed`: parameters whose values are listed |
| `scalars` | plain values, distinguished by type, and written as JSON |

Parameters are classes of attrs: a converter for each field says what is wrong with it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
