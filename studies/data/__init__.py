"""Data: what studies train, validate and (once, at the end) test on.

| file | holds |
|---|---|
| `datasets` | functions that describe data: `arrays`, `npz`, `batches`, and those of `known` |
| `known` | data sets by name: `digits`, `breast_cancer`, `diabetes`, `mnist` |
| `dataset` | `Dataset`: a description of data, read when first loaded |
| `part`, `splits` | `Part`, and `Splits`: the parts, the test part sealed |
| `structures` | one array, or several by name or in order |
| `partition` | from what was read to splits: the order of the steps |
| `splitting`, `classes` | which sample goes where; whether targets are classes |
| `preprocessing` | fitted on the training part alone |
| `scalings` | preprocessing that layers of the registered model repeat |
| `given` | samples before preprocessing |
| `checks`, `options` | checks of data and of arguments |
| `tables`, `texts`, `labels` | DataFrames; samples that are texts; labels by name |
| `numbers`, `weights` | turning arguments into arrays of numbers, and into sample weights |
| `large`, `sharing` | arrays in files that are mapped to memory, by several processes |
| `sources`, `readings` | objects that give batches; reading them as `fit` does |
| `profiles`, `streams` | facts from first batches; data that is read batch by batch |
| `npz_files` | reading `.npz` without pickles |
| `digests` | SHA-256 of arrays, the same on every machine |
"""

from __future__ import annotations

from search_spaces.errors import DataError
from studies.data import datasets
from studies.data.dataset import Dataset
from studies.data.part import Part
from studies.data.splits import Splits
from studies.data.streams import StreamedDataset, StreamedSplits

AnyDataset = Dataset | StreamedDataset
AnySplits = Splits | StreamedSplits
"""Loaded data: `train` and `validation` have `at_hand` and `first`."""

__all__ = [
    "AnyDataset",
    "AnySplits",
    "DataError",
    "Dataset",
    "Part",
    "Splits",
    "StreamedDataset",
    "StreamedSplits",
    "datasets",
]
