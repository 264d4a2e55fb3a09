"""The table behind each chart: which rows of its data, and under which headings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

COLUMNS = "columns"
"""In a chart's ``usermeta``: its table's columns, where not all that it draws are to be read."""

READ = "_read"
"""What the column adds to its name that has an axis's values as people read them."""
# Of marks in a sampling scale, not to be read.
_PLACES = frozenset({"unit", "until"})
# Whose axis is that of another field.
_OWN = frozenset({"best_so_far", "expected", "found", "high", "low"})

Specification = Mapping[str, Any]


def behind(specification: Specification) -> list[dict[str, Any]]:
    """Returns the tables behind a chart: the name of the data each, and fields with headings.

    They have what a chart draws and what it shows under the pointer. Lines that are drawn to guide
    the eye, such as a diagonal, have none.

    Args:
        specification: The chart in Vega-Lite.
    """
    declared = specification.get("usermeta", {}).get(COLUMNS)
    if declared:
        return [dict(declared)]
    found: dict[str, dict[str, str]] = {}
    inline = specification.get("datasets", {})
    units = specification.get("layer", (specification,))
    # At first what a pointer shows, which has the plainest headings.
    for pointed in (True, False):
        for unit in units:
            name = (unit.get("data") or specification.get("data", {})).get("name", "")
            unread = _PLACES.union(_computed(unit.get("transform", ())))
            columns = found.setdefault(name, {})
            for field, heading in _fields(unit.get("encoding", {}), pointed=pointed):
                # An axis that is drawn mirrored has its values in another column.
                known = {field, f"{field}{READ}"} & columns.keys()
                if field not in unread and not known:
                    own = field in _OWN or heading in columns.values()
                    columns[field] = field.replace("_", " ") if own else heading
    named = [name for name in found if name not in inline]
    return [
        {"table": name, "columns": list(columns.items())}
        for name, columns in found.items()
        if len(columns) > 1 and name in (named or found)
    ]


def _computed(transforms: Sequence[Specification]) -> Iterator[str]:
    """Yields the fields that a chart computes, which its data lack."""
    for each in transforms:
        made = each.get("as", ())
        yield from [made] if isinstance(made, str) else made


def _fields(encoding: Specification, *, pointed: bool) -> Iterator[tuple[str, str]]:
    """Yields the fields of a mark with their headings: those that a pointer shows, or others."""
    shown = encoding.get("tooltip", ())
    others = [each for name, each in encoding.items() if name not in ("tooltip", "text")]
    for channel in (shown if isinstance(shown, list) else [shown]) if pointed else others:
        if isinstance(channel, Mapping) and "aggregate" not in channel:
            field = channel.get("field")
            if field:
                # Of a tooltip, whose backslashes are doubled; see `drawable`.
                yield field, str(channel.get("title") or field).replace("\\\\", "\\")
