"""Lines that fit a terminal."""

from __future__ import annotations

import textwrap
from typing import Final

COLUMNS: Final = 80


def wrapped(line: str, indent: int = 11) -> list[str]:
    """Returns a line as several that fit, broken between words.

    Args:
        line: What is longer than a line without a space, such as a path, stays whole.
        indent: Spaces before all lines but the first.
    """
    return textwrap.wrap(
        line,
        COLUMNS,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
        tabsize=1,
    )
