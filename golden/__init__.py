"""What `scripts/golden` is made of: two commits run the same studies, and are compared.

subjects/     the study files
side.py       one commit: its environment, and the studies that it runs
collect.py    reads a store, in the environment of its side
compare.py    neutral documents, their differences, and those that are meant
expected.md   the differences that are meant, with the reasons
"""
