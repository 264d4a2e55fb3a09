"""Fits text, tables and curves to a terminal, and escapes text for terminals."""

from __future__ import annotations

import math
import re
import shutil
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Final

from search_spaces.texts import readable

COLUMNS: Final = 80
# Lines of text are at most this long, even if the terminal is wider, because longer lines are hard
# to read.
_LONGEST = 100
# The number of spaces between two columns of a table.
_BETWEEN = 2

# The Unicode categories of control characters, surrogates, and separators of lines and paragraphs.
_CONTROL = ("Cc", "Cs", "Zl", "Zp")
# Characters that reverse the direction of the text.
_TURNING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_BARS: Final = "▁▂▃▄▅▆▇█"
_COMMAND_AT_END = re.compile(r"(?P<before>.*\S:) (?P<command>kerastudy \S.*)")
_COLORS = re.compile(r"\x1b\[[0-9;:]*m")


def terminal_columns() -> int:
    """Returns how many characters wide the terminal is, or 80 if that is unknown.

    The environment variable `COLUMNS` overrides both.
    """
    return shutil.get_terminal_size((COLUMNS, 24)).columns


def width(text: str) -> int:
    """Returns how many columns of a terminal a text takes. A Hangul letter takes two."""
    from rich.cells import cell_len

    return cell_len(text)


def cut(text: str, columns: int) -> str:
    """Cuts a text to a number of columns. A shortened text ends in "…"."""
    if width(text) <= columns:
        return text
    from rich.cells import set_cell_size

    return set_cell_size(text, max(columns - 1, 0)).rstrip() + "…"


def printable(text: str) -> str:
    r"""Escapes the characters that control a terminal: ``\x1b``, line breaks and others."""
    return "".join(
        char.encode("unicode_escape").decode()
        if unicodedata.category(char) in _CONTROL or char in _TURNING
        else char
        for char in text
    )


def printable_value(value: object) -> str:
    """Returns a number, text or list as text for a terminal. Shortens floats to six digits."""
    return printable(readable(value, 6))


def printable_path(path: Path | None) -> str:
    """Returns a path as text, relative if it is below the working folder; "not kept" for None."""
    if path is None:
        return "not kept"
    below = path.is_relative_to(Path.cwd())
    return printable(str(path.relative_to(Path.cwd()) if below else path))


def without_colors(text: str) -> str:
    """Removes the terminal's color codes from a text."""
    return _COLORS.sub("", text)


def wrapped(line: str, indent: int = 11, columns: int | None = None) -> list[str]:
    """Breaks a text between words into lines, and escapes characters that control a terminal.

    A command at the end of the text begins a new line, and stays whole, so that people can copy it.
    A word that is longer than a line, such as a path, stays whole, too.

    Args:
        line: The text.
        indent: The number of spaces before all lines but the first.
        columns: The largest width of a line. None: the terminal's width, at most 100.
    """
    limit = min(terminal_columns(), _LONGEST) if columns is None else columns
    ends_in = _COMMAND_AT_END.fullmatch(line)
    if ends_in and width(line) > limit:
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


def as_notes(notes: Iterable[str]) -> str:
    """Returns notes for the user as wrapped lines. Each note begins with "note:"."""
    return "\n".join(line for note in notes for line in wrapped(f"note: {note}", indent=6))


def all_wrapped(lines: Iterable[str]) -> list[str]:
    """Breaks the lines that do not fit the terminal, and returns all lines."""
    return [part for line in lines for part in wrapped(line) or [""]]


def table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, breaking: Collection[str] = ()
) -> list[str]:
    """Returns a table as lines. If it is too wide, cells in the `breaking` columns are wrapped."""
    from rich.console import Console
    from rich.table import Table

    rich_table = Table(box=None, pad_edge=False)
    for name in header:
        rich_table.add_column(printable(name), overflow="fold", no_wrap=name not in breaking)
    for row in rows:
        rich_table.add_row(*map(printable, row))
    # Markup is off, so that rich prints names such as "[red]" as they are. Colors are off, because
    # the command line's `tell` would escape their codes.
    console = Console(
        color_system=None, highlight=False, markup=False, emoji=False, width=terminal_columns()
    )
    with console.capture() as captured:
        console.print(rich_table)
    return [line.rstrip() for line in captured.get().splitlines()]


def in_blocks(columns: Sequence[Sequence[str]], *, most: int | None = None) -> list[str]:
    """Returns a table, given by its columns, as lines.

    If the table is too wide for the terminal, the columns are spread over several tables below each
    other. Every table begins with the first column. A column is a list: its heading, then its
    cells. Cells that are too wide are cut.

    Args:
        columns: The first column, and at least one other.
        most: The largest number of tables. None: as many as needed.
    """
    limit = terminal_columns()
    first = [cut(printable(cell), limit // 2) for cell in columns[0]]
    room = limit - max(map(width, first)) - _BETWEEN
    blocks: list[list[list[str]]] = []
    free_width = 0
    for column in columns[1:]:
        cells = [cut(printable(cell), room) for cell in column]
        column_width = max(map(width, cells)) + _BETWEEN
        if column_width > free_width:
            blocks.append([first])
            free_width = room + _BETWEEN
        free_width -= column_width
        blocks[-1].append(cells)
    lines: list[str] = []
    for block in blocks[:most]:
        header, *rows = zip(*block, strict=True)
        lines += ["", *table(header, rows)]
    return lines[1:]


def sparkline_if_curve(values: Sequence[float], columns: int = 40) -> str:
    """Returns a `sparkline`, or an empty text for fewer than two values."""
    return sparkline(values, columns) if len(values) > 1 else ""


def sparkline(values: Sequence[float], columns: int = 40) -> str:
    """Returns a curve as a line of bars, such as ``▁▃▆█``. A NaN or an infinity leaves a gap.

    If the curve has more values than `columns`, a bar is the mean of neighbouring values.
    """
    size = max(1, math.ceil(len(values) / columns))
    means = []
    for start in range(0, len(values), size):
        finite = [v for v in values[start : start + size] if math.isfinite(v)]
        means.append(math.fsum(finite) / len(finite) if finite else math.nan)
    heights = [mean for mean in means if math.isfinite(mean)]
    low, high = min(heights, default=0.0), max(heights, default=0.0)
    return "".join(
        " "
        if math.isnan(mean)
        else _BARS[round((mean - low) / (high - low) * (len(_BARS) - 1)) if high > low else 3]
        for mean in means
    )
