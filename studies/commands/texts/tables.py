"""Tables that fit the terminal, and values in words."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from search_spaces.texts import readable
from studies.lines import cut, printable, terminal_columns, width

_BETWEEN = 2


def in_blocks(columns: Sequence[Sequence[str]], *, most: int | None = None) -> list[str]:
    """Returns columns side by side, in as many blocks below each other as they need.

    A column has its heading and cells; the first one begins each block. Cells that leave no room
    are cut.
    """
    limit = terminal_columns()
    first = [cut(printable(cell), limit // 2) for cell in columns[0]]
    room = limit - max(map(width, first)) - _BETWEEN
    blocks: list[list[str]] = []
    lines, empty = first, True
    for column in columns[1:]:
        cells = [cut(printable(cell), room) for cell in column]
        wider = _beside(lines, cells)
        if not empty and max(map(width, wider)) > limit:
            blocks.append(lines)
            wider = _beside(first, cells)
        lines, empty = wider, False
    blocks.append(lines)
    return [line.rstrip() for block in blocks[:most] for line in (*block, "")][:-1]


def table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, breaking: Collection[str]
) -> list[str]:
    """Returns rows as a table; if it is too wide, cells of the breaking columns are broken."""
    from rich.console import Console
    from rich.table import Table

    made = Table(box=None, pad_edge=False)
    for name in header:
        made.add_column(name, overflow="fold", no_wrap=name not in breaking)
    for row in rows:
        made.add_row(*map(printable, row))
    # Names are text, whatever marks they hold.
    console = Console(highlight=False, markup=False, emoji=False, width=terminal_columns())
    with console.capture() as captured:
        console.print(made)
    return [line.rstrip() for line in captured.get().splitlines()]


def shown(value: object) -> str:
    """Returns a value as a person reads it."""
    return printable(readable(value, 6))


def spelled(values: Mapping[str, Any]) -> str:
    """Returns hyperparameters with their values."""
    return ", ".join(f"{printable(name)} = {shown(value)}" for name, value in values.items())


def _beside(lines: Sequence[str], cells: Sequence[str]) -> list[str]:
    """Returns lines with one more cell each."""
    room = max(map(width, lines)) + _BETWEEN
    return [
        f"{line}{' ' * (room - width(line))}{cell}" for line, cell in zip(lines, cells, strict=True)
    ]
