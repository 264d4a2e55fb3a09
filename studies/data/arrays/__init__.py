"""Arrays: from what a user gave to numbers.

| module | holds |
|---|---|
| `checks` | checks of samples and their weights before training |
| `copies` | copies of a sample |
| `digests` | the same content gives the same digest on every machine |
| `given` | samples before preprocessing, as a registered model takes them |
| `images` | samples that are images |
| `large` | arrays too large for every process to hold, in files that are mapped to memory |
| `numbers` | turns a user's data, tables of pandas included, into arrays of numbers |
| `rules` | the rule by which targets were made |
| `scalings` | preprocessing that a Keras layer can repeat, to the same bits |
| `texts` | texts as samples, for a model that turns them into numbers |
"""
