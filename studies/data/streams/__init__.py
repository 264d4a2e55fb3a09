"""Data that is read batch by batch.

| module | holds |
|---|---|
| `profiles` | facts about a source from its first batches, before training |
| `readings` | a source read from its beginning, as `model.fit` reads the data of an epoch |
| `samples` | the first samples of a part, to look at |
| `sources` | they give the batches of a part, again and again |
| `streamed_dataset` | data that is read batch by batch, in the order in which it comes |
"""
