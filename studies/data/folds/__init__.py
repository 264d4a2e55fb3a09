"""Folds: all data but the test part, split for cross-validation.

| module | holds |
|---|---|
| `splits` | how to split: `stratified`, `k_fold`, `grouped`, `repeated`, `forward` |
| `cross_validation` | the ways to split |
| `folded` | the data of a cross-validated study: two parts for each fold |
"""
