"""Fits text to a terminal, and escapes what would control a terminal or a spreadsheet."""

from __future__ import annotations

import re
import shutil
import unicodedata
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import pandas as pd

COLUMNS: Final = 80
# Text in longer lines is hard to read.
_LONGEST = 100

# Control characters, lone surrogates, and separators of lines and paragraphs.
_NO_TEXT = ("Cc", "Cs", "Zl", "Zp")
_TURNING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_COMMAND_AT_END = re.compile(r"(?P<before>.*\S:) (?P<command>kerastudy \S.*)")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_COLORS = re.compile(r"\x1b\[[0-9;:]*m")


def terminal_columns() -> int:
    """Returns the terminal's columns, or 80. The environment variable `COLUMNS` overrides both."""
    return shutil.get_terminal_size((COLUMNS, 24)).columns


def width(text: str) -> int:
    """Returns the columns that a text takes. A Hangul letter, for example, takes two."""
    from rich.cells import cell_len

    return cell_len(text)


def cut(text: str, columns: int) -> str:
    """Cuts a text to a number of columns. A text that was cut ends in "…"."""
    if width(text) <= columns:
        return text
    from rich.cells import set_cell_size

    return set_cell_size(text, max(columns - 1, 0)).rstrip() + "…"


def printable(text: str) -> str:
    r"""Escapes characters that control a terminal, so that a text takes one line.

    Such characters are ``\x1b``, line breaks, and marks that reverse the direction of the text.
    """
    return "".join(
        char.encode("unicode_escape").decode()
        if unicodedata.category(char) in _NO_TEXT or char in _TURNING
        else char
        for char in text
    )


def without_colors(text: str) -> str:
    """Returns a text without the color codes that programs print."""
    return _COLORS.sub("", text)


def wrapped(line: str, indent: int = 11, columns: int | None = None) -> list[str]:
    """Breaks a line between words into lines that fit.

    A command at the end of the text begins a new line, so that people can copy it.

    Args:
        line: The text. A word that is longer than a line, such as a path, is not broken.
        indent: Spaces before all lines but the first.
        columns: The columns of a line. None: those of the terminal, at most 100.
    """
    limit = min(terminal_columns(), _LONGEST) if columns is None else columns
    ends_in = _COMMAND_AT_END.fullmatch(line)
    if ends_in and width(line) > limit >= indent + width(ends_in["command"]):
        before = wrapped(ends_in["before"], indent, limit)
        return [*before, " " * indent + printable(ends_in["command"])]
    lines: list[str] = []
    now = ""
    for part in re.findall(r"\s*\S+", re.sub(r"[\t\n\r\v\f]", " ", line)):
        if now and width(now + part) > limit:
            lines.append(printable(now))
            now = " " * indent + part.lstrip()
        else:
            now += part
    return [*lines, printable(now)] if now else lines


def all_wrapped(lines: Iterable[str]) -> list[str]:
    """Breaks each line that does not fit, and returns all lines."""
    return [part for line in lines for part in wrapped(line) or [""]]


def as_csv(table: pd.DataFrame) -> str:
    """Returns a table as CSV. Texts that a spreadsheet would take for formulas are escaped.

    A formula may run commands: https://owasp.org/www-community/attacks/CSV_Injection
    """
    escaped = table.rename(columns=_escaped)
    for name, dtype in zip(escaped.columns, escaped.dtypes, strict=True):
        if getattr(dtype, "kind", "O") not in "biufmM":
            escaped[name] = escaped[name].map(_escaped)
    return str(escaped.to_csv(index=False, lineterminator="\n"))


def _escaped(text: Any) -> Any:
    """Puts an apostrophe before a text that begins like a formula. Other values stay."""
    text = str(text) if isinstance(text, list | tuple | dict) else text
    if not isinstance(text, str) or not text.startswith(_FORMULA):
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text


def unescaped(text: str) -> str:
    """Returns a cell of `as_csv` without the apostrophe before a formula."""
    return text[1:] if text[:1] == "'" and text[1:].startswith(_FORMULA) else text
