"""Programs: whole epochs as TensorFlow functions, traced once for each structure.

| module | holds |
|---|---|
| `compiled` | the compiled trainer, and which trainings it can do |
| `fitting` | what `model.fit` does, with an epoch per call, by the programs chosen for the model |
| `program` | traced once for a structure, used for every trial with it; the programs used last |
| `epochs` | an epoch, and a validation, as one TensorFlow function each |
| `graph_checks` | checks whether a traced graph can be reused for other trials |
| `program_checks` | a program compared with the model's own steps |
"""
