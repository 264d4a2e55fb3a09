"""Folds: all data but the test part, split for cross-validation.

| module | holds |
|---|---|
| `cross_validation` | the ways to split |
| `folded_splits` | the data of a cross-validated study: two parts for each fold |
| `folding` | makes it of read data |
| `splits` | how to split: `stratified`, `k_fold`, `grouped`, `repeated`, `forward` |
"""
