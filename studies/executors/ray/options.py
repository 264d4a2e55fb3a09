"""Whether Ray is installed."""

from __future__ import annotations

from importlib.util import find_spec

from search_spaces.errors import StudyError


def check_installed() -> None:
    """Raises StudyError if Ray is not installed."""
    if find_spec("ray") is None:
        raise StudyError(
            "The executor 'ray' needs Ray, which is not installed. "
            "Install it: pip install 'kerastudy[ray]'."
        )
