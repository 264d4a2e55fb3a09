"""`SearchSpace`: parameters together.

| module | holds |
|---|---|
| `alterable` | one space made from another, without touching the builder that reads it |
| `alterations` | parameters fixed, replaced or added; what becomes of conditions |
| `combinations` | all configurations of a space, and their number |
| `completion` | values that leave something out, completed |
| `declaration` | the parameters and groups that a space is given, checked |
| `membership` | which parameters are active, and whether values are in a space |
| `search_space` | the hyperparameters of a study, with their domains and conditions |
| `serialization` | a space as JSON, its digest, and what differs between two spaces, in words |
"""
