"""What the record of a study says about its search, and what to search next.

| module | holds |
|---|---|
"""
