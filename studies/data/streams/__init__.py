"""Streams: data that is read batch by batch.

| module | holds |
|---|---|
| `streamed_dataset` | the description, and the parts |
| `profiles` | a digest and the first batch of a source |
| `sources` | the source of a part's batches, read from its beginning for each epoch |
"""
