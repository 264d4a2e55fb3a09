"""Parameters: a name, a domain, a scale, a condition.

| module | holds |
|---|---|
| `choice_parameter` | parameters whose values are listed |
| `conditions` | under which values of its parents a parameter is active, and in which order |
| `float_parameter` | a number from a range, continuous or in steps |
| `grids` | the values that a step allows, as a person would write them |
| `int_parameter` | a whole number from a range |
| `kinds` | the kinds of parameters, and reading one back that `to_dict` wrote |
| `parameter` | what all parameters share: a name, a domain, a default, a role |
| `ranged` | what `Float` and `Int` share: a range on a scale, perhaps in steps |
| `scalars` | plain values, distinguished by type, and written as JSON |
| `scales` | how a number between 0 and 1 is spread over a range |
| `spelled` | tuples, lists and dicts as values of a choice |
"""
