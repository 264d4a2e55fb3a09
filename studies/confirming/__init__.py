"""The best trials again under new seeds, and how far to believe the study's choice.

| module | holds |
|---|---|
"""
