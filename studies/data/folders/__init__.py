"""Data in folders: a file for each sample, a folder for each class.

| module | holds |
|---|---|
| `described` | `datasets.images` and `datasets.text` |
| `folder` | images or texts in files: where they are, and how they are read |
| `listing` | the files of a folder, with their classes |
| `images` | reading images, as `keras.utils.image_dataset_from_directory` does |
| `texts` | reading texts, from files or from a column of a csv file |
"""
