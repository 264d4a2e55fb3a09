"""A model's structure as a key, and numbers that are no part of it.

| module | holds |
|---|---|
| `code_reading` | what compiled Python code reads besides its arguments |
| `lifting` | numbers of a model that a program reads from variables |
| `structure` | what decides a model's traced graph |
"""
