"""Markdown for descriptions in MLflow, which shows them in its UI."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

# The UI renders Markdown and harmless HTML, with links for "@name" and pictures from anywhere.
_MARKS = re.compile(r"[\\`*\[\]<>&|!#~@{}]|(?<![^\W_])_|_(?![^\W_])")


def plain(text: str) -> str:
    """Returns a user's text for Markdown: on one line, without any meaning as markup."""
    return _MARKS.sub(lambda mark: f"&#{ord(mark[0])};", " ".join(text.split()))


def link(text: str, address: str) -> str:
    """Returns a link. The text may be a user's; the address is not."""
    return f"[{plain(text)}]({address})"


def code_block(lines: Iterable[str]) -> list[str]:
    """Returns lines that are shown as they are. A line has no line breaks."""
    # No text can end an indented block; three backticks would end a fenced one.
    return ["", *(f"    {' '.join(line.splitlines())}" for line in lines), ""]


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Returns a table of users' texts; numbers are on the right."""
    cells = [[plain(text) for text in row] for row in rows]
    numeric = [
        all(_is_number(row[i]) for row in cells if row[i]) and any(row[i] for row in cells)
        for i in range(len(header))
    ]
    rule = ["---:" if right else "---" for right in numeric]
    return [f"| {' | '.join(row)} |" for row in ([plain(h) for h in header], rule, *cells)]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
