"""Arrays: from what a user gave to numbers.

| module | holds |
|---|---|
| `checks` | checks of data before training |
| `digests` | the same content gives the same digest on every machine |
| `given` | samples before preprocessing, as a registered model takes them |
| `labels` | numbered for training; the registered model keeps the names |
| `large` | arrays too large for every process to hold, in files that are mapped to memory |
| `numbers` | turns a user's data into arrays of numbers |
| `scalings` | preprocessing that a Keras layer can repeat, to the same bits |
| `tables` | pandas DataFrames, whose columns have names and types of their own |
| `texts` | texts as samples, for a model that turns them into numbers |
| `weights` | sample weights |
"""
