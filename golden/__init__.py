"""Runs the same studies by two commits and compares their records, for `scripts/golden`.

subjects/     the study files
side.py       one commit: its environment, and the studies that it runs
collect.py    reads a store, in the environment of its side
compare.py    records as comparable texts, and their differences
expected.md   the differences that are meant, with the reasons
"""
