"""Parts: which sample goes where, and what is done to it.

| module | holds |
|---|---|
| `classes` | whether targets are labels; labels by name, numbered for training |
| `part` | a part of a data set: its samples, their targets and weights |
| `partition` | turns read data into splits: take parts, check, preprocess, seal, in this order |
| `preprocessing` | fitted on the training samples alone, applied to all parts |
| `sharing` | data that the processes of a machine hold once |
| `splits` | the data of a study: a training part, a validation part, and a sealed test part |
| `splitting` | draws the samples of each part |
"""
