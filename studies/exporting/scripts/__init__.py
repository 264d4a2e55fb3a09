"""A trial as one file of plain Keras, which ends with the same weights.

| module | holds |
|---|---|
| `script` | writing the file |
| `head`, `text` | its text |
| `parts` | what it needs of the study, found in a worker process |
| `builder_code`, `stand_in` | the builder as text that stands alone, and its `hp` |
| `left_out` | takes names out of that text that a script must not import |
| `code_edits` | edits of a text by the nodes of its syntax tree |
| `data_code` | the data as a few lines, or as a file of arrays |
"""
