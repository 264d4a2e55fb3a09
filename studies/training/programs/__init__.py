"""Programs: whole epochs as TensorFlow functions, traced once for each structure.

| module | holds |
|---|---|
| `chosen_programs` | which programs train and validate a model now |
| `compiled` | the compiled trainer |
| `epochs` | an epoch, and a validation, as one TensorFlow function each |
| `fitness` | decides which trainings programs can do, before anything is traced |
| `fitting` | what `model.fit` does, with an epoch per call |
| `graph_checks` | checks whether a traced graph can be reused for other trials |
| `program` | traced once for a structure, used for every trial with it |
| `programs` | the programs used last, and the models that can't have any |
| `program_checks` | a program compared with the model's own steps |
"""
