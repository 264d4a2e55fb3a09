"""Tables: columns of numbers, booleans and categories, some of them missing.

| module | holds |
|---|---|
| `table` | `datasets.table`: the description of a table, and how it is read and ordered |
| `files` | reading a file into a DataFrame |
| `columns` | what the columns and the target hold; refuses those that no model takes |
| `values` | the values of columns as numbers and texts, in training as in use |
| `fitted` | means and vocabularies of the training part, and what they make of rows |
"""
