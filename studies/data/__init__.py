"""Data: what studies train, validate and (once, at the end) test on.

| file | holds |
|---|---|
| `protocol` | what every kind of data has: a description, and when loaded, parts with digests |
| `dataset` | `Dataset`: a description of data in arrays |
| `datasets` | functions that describe data: `arrays`, `npz`, `batches`, and others named below |
| `known` | data sets by name: `digits`, `breast_cancer`, `diabetes`, `mnist`, `fashion_mnist` |
| `folders` | images and texts in folders |
| `arrays/` | arrays: from a user's data to parts with digests |
| `folds/` | folds of cross-validation |
| `streams/` | data that is read batch by batch |
| `tables/` | tables: columns of numbers, booleans and categories, and dates to order them |
| `looking/` | looking at data before a model is trained on it |
| `preprocessing` | layers that are adapted to the training part, such as `TextVectorization` |
| `options` | checks of the options of a data set |
| `replacing` | another file in place of a study's own data |
| `npz_files` | reading `.npz` without pickles |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
