"""Data: what studies train, validate and (once, at the end) test on.

| file | holds |
|---|---|
| `arrays/` | arrays: from what a user gave to numbers |
| `parts/` | parts: which sample goes where, and what is done to it |
| `folds/` | folds of cross-validation |
| `streams/` | data that is read batch by batch |
| `tables/` | tables: columns of numbers, booleans and categories |
| `looking/` | looking at data before a model is trained on it |
| `datasets` | functions that describe data: `arrays`, `npz`, `batches`, and others named below |
| `known` | data sets by name: `digits`, `breast_cancer`, `diabetes`, `mnist`, `fashion_mnist` |
| `folders` | images and texts in folders |
| `dataset` | `Dataset`: a description of data, read when first loaded |
| `structures` | one array, or several by name or in order |
| `options` | checks of data and of arguments |
| `replacing` | another file in place of a study's own data |
| `npz_files` | reading `.npz` without pickles |
"""

from __future__ import annotations

from search_spaces.errors import DataError
from studies.data import datasets
from studies.data.dataset import Dataset
from studies.data.folds import splits
from studies.data.folds.cross_validation import CrossValidation
from studies.data.folds.folded_splits import FoldedSplits
from studies.data.parts.part import Part
from studies.data.parts.splits import Splits
from studies.data.streams.streamed_dataset import StreamedDataset, StreamedSplits

AnyDataset = Dataset | StreamedDataset
AnySplits = Splits | StreamedSplits
"""Loaded data: `train` and `validation` have `at_hand` and `first`."""

__all__ = [
    "AnyDataset",
    "AnySplits",
    "CrossValidation",
    "DataError",
    "Dataset",
    "FoldedSplits",
    "Part",
    "Splits",
    "StreamedDataset",
    "StreamedSplits",
    "datasets",
    "splits",
]
