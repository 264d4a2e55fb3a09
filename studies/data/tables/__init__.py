"""Tables: columns of numbers, booleans and categories, some of them missing.

| module | holds |
|---|---|
| `described` | `csv`, `parquet`, `dataframe`: descriptions of tables |
| `table` | a table: where it is from, and how it is read |
| `files` | reading a file into a DataFrame |
| `columns` | the columns, and their values; refuses those that no model takes |
| `kinds` | the kind of a column: number, boolean, category, or why it is none |
| `targets` | the column to predict: classes or numbers |
| `values` | the values of columns as numbers and texts, in training as in use |
| `fitted` | means and vocabularies of the training part, and what they make of rows |
| `preprocessing` | the layer that a builder puts first |
| `building` | which data the model is built for |
"""
