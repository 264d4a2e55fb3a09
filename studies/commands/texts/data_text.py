"""What was found in a study's data, as text: the most severe findings first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from studies.commands.texts.tables import table
from studies.lines import cut, printable, wrapped
from tracking.history.sparkline import sparkline
from tracking.records.data_findings import DataFindings, Distribution

_INDENT: Final = 9
_MOST_ROWS: Final = 12
_BARS: Final = 10
_LONGEST_NAME: Final = 20


def data_text(found: DataFindings, recorded: Sequence[str] = ()) -> list[str]:
    """Returns what was found in a study's data, as lines.

    Args:
        found: What was found.
        recorded: The studies whose record has it now.
    """
    sizes = ", ".join(f"{part} {size:,}" for part, size in found.sizes.items())
    told = ", ".join(
        f"{amount} {name}{'' if amount == 1 or name == 'ok' else 's'}"
        for name, amount in found.counts().items()
        if amount
    )
    lines = wrapped(f"data     {printable(found.data)}", _INDENT)
    lines += wrapped(f"samples  {sizes or 'of unknown number'}", _INDENT)
    for place, (name, kind) in enumerate(found.inputs.items()):
        lines += wrapped(f"{'' if place else 'inputs':<{_INDENT}}{name}: {kind}", _INDENT)
    lines.append(f"found    {told or 'nothing'}")
    for finding in found.findings:
        lines += ["", *wrapped(f"{finding.severity:<{_INDENT}}{finding.title}", _INDENT)]
        for text in (finding.verdict, finding.advice):
            if text:
                lines += wrapped(f"{'':<{_INDENT}}{text}", _INDENT)
    for heading, shown in (("targets", found.targets), ("columns", found.columns)):
        if shown:
            lines += ["", *_distributions(heading, shown)]
    if found.notes:
        lines += ["", *wrapped(f"{'looked':<{_INDENT}}{' '.join(found.notes)}", _INDENT)]
    if recorded:
        names = ", ".join(map(printable, recorded))
        lines += wrapped(f"{'record':<{_INDENT}}The report of {names} shows this too.", _INDENT)
    return lines


def _distributions(heading: str, shown: Sequence[Distribution]) -> list[str]:
    """Returns a table of distributions: classes one by one, other values in bars."""
    lines: list[str] = []
    classes = [each for each in shown if each.kind == "classes"]
    others = [each for each in shown if each.kind != "classes"]
    for each in classes:
        lines += [*([""] if lines else []), *_classes(each)]
    if others:
        parts = [part for part in ("train", "validation") if part in others[0].bars] or ["train"]
        rows = [
            [
                cut(printable(each.name), _LONGEST_NAME),
                "" if each.low is None else f"{each.low:.4g} to {each.high:.4g}",
                "" if each.mean is None else f"{each.mean:.4g} ± {each.deviation:.3g}",
                f"{sum(each.missing.values()):,}" if any(each.missing.values()) else "",
                *(_bars(each, part) for part in parts),
            ]
            for each in others[:_MOST_ROWS]
        ]
        header = [heading, "from, to", "mean", "missing", *parts]
        if not any(row[3] for row in rows):
            rows, header = [[*r[:3], *r[4:]] for r in rows], [*header[:3], *header[4:]]
        lines += [*([""] if lines else []), *table(header, rows, breaking=("from, to",))]
        if len(others) > _MOST_ROWS:
            lines.append(f"… and {len(others) - _MOST_ROWS:,} more: --json has all")
    return lines


def _classes(each: Distribution) -> list[str]:
    parts = list(each.bars)
    rows = []
    for place, label in enumerate(each.labels[:_MOST_ROWS]):
        cells = [cut(printable(label), _LONGEST_NAME)]
        for part in parts:
            amount, whole = each.bars[part][place], max(sum(each.bars[part]), 1)
            cells.append(f"{amount:,} ({100 * amount / whole:.1f} %)")
        rows.append(cells)
    lines = table([f"class of {each.name}", *parts], rows, breaking=(parts[-1],))
    if len(each.labels) > _MOST_ROWS:
        lines.append(f"… and {len(each.labels) - _MOST_ROWS:,} more: --json has all")
    return lines


def _bars(each: Distribution, part: str) -> str:
    return sparkline([float(n) for n in each.bars.get(part, ())], _BARS)
