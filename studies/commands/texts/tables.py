"""Draws tables that fit the terminal, and writes values for people."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from search_spaces.texts import readable
from studies.terminal_text import cut, printable, terminal_columns, width

_BETWEEN = 2


def table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, breaking: Collection[str] = ()
) -> list[str]:
    """Returns a table as lines. If it is too wide, cells in the `breaking` columns are wrapped."""
    from rich.console import Console
    from rich.table import Table

    drawn = Table(box=None, pad_edge=False)
    for name in header:
        drawn.add_column(printable(name), overflow="fold", no_wrap=name not in breaking)
    for row in rows:
        drawn.add_row(*map(printable, row))
    columns = terminal_columns()
    # Names are plain text, even if they look like rich's markup. There are no colors, since `tell`
    # escapes their codes.
    console = Console(color_system=None, highlight=False, markup=False, emoji=False, width=columns)
    with console.capture() as captured:
        console.print(drawn)
    return [line.rstrip() for line in captured.get().splitlines()]


def in_blocks(columns: Sequence[Sequence[str]], *, most: int | None = None) -> list[str]:
    """Returns columns as lines. If they don't fit, there are several tables below each other.

    A column is a list of its heading and its cells. The first column begins each table. Cells that
    are too wide are cut.
    """
    limit = terminal_columns()
    first = [cut(printable(cell), limit // 2) for cell in columns[0]]
    room = limit - max(map(width, first)) - _BETWEEN
    blocks, left = [[first]], 0
    for column in columns[1:]:
        cells = [cut(printable(cell), room) for cell in column]
        taken = max(map(width, cells)) + _BETWEEN
        if len(blocks[-1]) > 1 and taken > left:
            blocks.append([first])
        left = (left if len(blocks[-1]) > 1 else room + _BETWEEN) - taken
        blocks[-1].append(cells)
    lines: list[str] = []
    for block in blocks[:most]:
        header, *rows = zip(*block, strict=True)
        lines += ["", *table(header, rows)]
    return lines[1:]


def shown(value: object) -> str:
    """Returns a value as text for people. It is safe to print on a terminal."""
    return printable(readable(value, 6))


def spelled(values: Mapping[str, Any]) -> str:
    """Returns hyperparameters with their values: ``dropout = 0.2, units = 64``."""
    return ", ".join(f"{printable(name)} = {shown(value)}" for name, value in values.items())
