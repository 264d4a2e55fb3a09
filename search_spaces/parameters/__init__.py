"""Parameters: a name, a domain, a scale, a condition.

| module | holds |
|---|---|
| `parameter` | what all parameters share: a name, a domain, a default, a role |
| `ranged` | `Float` and `Int`: a number from a range, and the values that a step allows |
| `choice_parameter` | `Choice`, `Boolean` and `Fixed`: parameters whose values are listed |
| `kinds` | all of them, and reading one back that `to_dict` wrote |
| `conditions` | under which values of its parents a parameter is active, and in which order |
| `scales` | how a number between 0 and 1 is spread over a range |
| `scalars` | plain values, distinguished by type, and written as JSON |

Parameters are classes of attrs: a converter for each field says what is wrong with it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
