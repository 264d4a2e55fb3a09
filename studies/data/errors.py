"""The one error of this package."""

from __future__ import annotations


class DataError(ValueError):
    """Data, or a description of data, that no study can be run on.

    Each message says what is wrong, what was received, and what to do about it.
    """
