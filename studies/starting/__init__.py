"""A study file to start from: `kerastudy new`.

| module | holds |
|---|---|
| `samples` | what a study file must know of the user's data |
| `files` | looks for that in a file or folder |
| `template` | the study file as text |
| `write` | writes it, for data, for none, or as a copy of a catalog study |
"""
