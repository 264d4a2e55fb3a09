"""Arrays: from a user's data to a training, a validation and a sealed test part.

| module | holds |
|---|---|
| `splits` | `Splits` and `Part`: the parts, sealed, with their digests |
| `partition` | which sample goes where |
| `checks` | turns a user's data, tables of pandas included, into checked arrays |
| `classes` | whether targets are labels, and labels by name, numbered |
| `preprocessing` | what is done to samples, and samples before it |
| `structures` | one array, or several by name or in order |
| `digests` | digests of arrays, the same on every machine, and copies of a sample |
| `large` | arrays in files that are mapped to memory, and shared by processes |
"""
