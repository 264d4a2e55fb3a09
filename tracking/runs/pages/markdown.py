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


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Returns a table of cells in Markdown."""
    # The UI puts no space between columns, and drops their alignment.
    padded = [[f"{cell}&emsp;" for cell in row] for row in (header, *rows)]
    padded.insert(1, ["---"] * len(header))
    return [f"| {' | '.join(row)} |" for row in padded]
