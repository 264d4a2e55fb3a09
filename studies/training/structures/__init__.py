"""What of a model decides its graph, as a key; and what does not.

| module | holds |
|---|---|
| `code_reading` | what compiled Python code reads beside its arguments |
| `fingerprints` | a digest of Python objects, and of all that they reach |
| `lifting` | numbers of a model that a program reads from variables |
| `structure` | what of a model decides the graph that TensorFlow traces |
"""
