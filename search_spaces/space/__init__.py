"""`SearchSpace`: parameters together.

| module | holds |
|---|---|
| `alterable` | a space from parameters and groups; one space made from another |
| `alterations` | parameters fixed, replaced or added; what becomes of conditions |
| `combinations` | all configurations of a space, and their number |
| `membership` | which parameters are active, whether values are in a space, completing them |
| `search_space` | the hyperparameters of a study, with their domains and conditions |
| `serialization` | a space as JSON, its digest, and what differs between two spaces, in words |
"""
