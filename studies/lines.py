"""Lines that fit a terminal."""

from __future__ import annotations

import textwrap
from typing import Final

COLUMNS: Final = 80


def wrapped(line: str, indent: int = 11, columns: int = COLUMNS) -> list[str]:
    """Breaks a line between words into lines that fit.

    Args:
        line: The text. A word that is longer than a line, such as a path, is not broken.
        indent: Spaces before all lines but the first.
        columns: Characters in a line.
    """
    return textwrap.wrap(
        line,
        columns,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
        tabsize=1,
    )
