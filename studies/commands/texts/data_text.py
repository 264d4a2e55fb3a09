"""What was found in a study's data, as text: the most severe findings first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from studies.commands.texts.tables import table
from studies.lines import cut, printable, wrapped
from tracking.records.studies import DATA_SEVERITIES, DataFindings

_INDENT: Final = 9
_MOST_ROWS: Final = 12
_LONGEST_NAME: Final = 20


def data_text(found: DataFindings, recorded: Sequence[str] = ()) -> list[str]:
    """Returns what was found in a study's data, as lines.

    Args:
        found: What was found.
        recorded: The studies whose record has it now.
    """
    sizes = ", ".join(f"{part} {size:,}" for part, size in found.sizes.items())
    counts = {s: sum(each.severity == s for each in found.findings) for s in DATA_SEVERITIES}
    told = ", ".join(
        f"{amount} {name}{'' if amount == 1 or name == 'ok' else 's'}"
        for name, amount in counts.items()
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
    for name, parts in found.classes.items():
        lines += ["", *_classes(name, parts)]
    if found.notes:
        lines += ["", *wrapped(f"{'looked':<{_INDENT}}{found.notes}", _INDENT)]
    if recorded:
        names = ", ".join(map(printable, recorded))
        lines += wrapped(f"{'record':<{_INDENT}}The report of {names} shows this too.", _INDENT)
    return lines


def _classes(name: str, parts: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    labels = list(parts["train"])
    rows = [
        [cut(printable(label), _LONGEST_NAME)]
        + [
            f"{counts[label]:,} ({100 * counts[label] / max(sum(counts.values()), 1):.1f} %)"
            for counts in parts.values()
        ]
        for label in labels[:_MOST_ROWS]
    ]
    yield from table([f"class of {name}", *parts], rows, breaking=(list(parts)[-1],))
    if len(labels) > _MOST_ROWS:
        yield f"… and {len(labels) - _MOST_ROWS:,} more: --json has all"
