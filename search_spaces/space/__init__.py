"""`SearchSpace`: parameters together.

| module | holds |
|---|---|
| `search_space` | the hyperparameters of a study, with their domains and conditions |
| `alterations` | parameters fixed, replaced or added; what becomes of conditions |
| `membership` | which parameters are active, whether values are in a space, completing them |
"""
