"""Writes the findings in a study's record, or in its data, as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from search_spaces.texts import counted
from studies.commands.texts.tables import table
from studies.terminal_text import cut, printable, wrapped
from tracking.diagnosis.check_runner import Diagnosis
from tracking.diagnosis.diagnosed_study import Finding
from tracking.records.data_findings import DATA_SEVERITIES, DataFinding, DataFindings

_INDENT: Final = 9
_MOST_ROWS: Final = 12
_LONGEST_NAME: Final = 20
_TOO_SHORT: Final = "the record is too short for advice: run more trials, or longer ones"
COLORS: Final = {"problem": "bold red", "hint": "bold yellow", "ok": "green"}
"""The color of each severity on a terminal."""


def diagnosis_text(diagnosis: Diagnosis) -> str:
    """Returns the findings of a diagnosis as text."""
    history = diagnosis.history
    description = history.description
    amounts = _amounts(diagnosis.counts)
    lines = wrapped(
        f"study    {description.name}: {counted(len(history.trials), 'trial')} by "
        f"{description.engine}, "
        f"{description.objective.direction} {description.objective.metric}",
        _INDENT,
    )
    lines.append(f"found    {amounts or 'nothing: see what could not be checked'}")
    for finding in diagnosis.findings:
        lines += ["", *_finding(finding)]
        if finding.command:
            # A command stays on one line, so that people can copy it.
            lines.append(f"{'':<{_INDENT}}{printable(finding.command)}")
    if diagnosis.unchecked:
        lines += ["", "not checked"]
        for each in diagnosis.unchecked:
            what = f"{each.check} of {each.parameter}" if each.parameter else each.check
            lines += wrapped(f"         {what}: {each.reason}", _INDENT + 2)
    lines += ["", *_next(diagnosis)]
    return "\n".join(lines)


def data_text(findings: DataFindings, recorded: Sequence[str] = ()) -> list[str]:
    """Returns the findings in a study's data, as lines.

    `recorded` has the names of the studies whose records have the findings.
    """
    sizes = ", ".join(f"{part} {size:,}" for part, size in findings.sizes.items())
    counts: dict[str, int] = {
        s: sum(each.severity == s for each in findings.findings) for s in DATA_SEVERITIES
    }
    lines = wrapped(f"data     {printable(findings.data)}", _INDENT)
    lines += wrapped(f"samples  {sizes or 'of unknown number'}", _INDENT)
    for place, (name, kind) in enumerate(findings.inputs.items()):
        lines += wrapped(f"{'' if place else 'inputs':<{_INDENT}}{name}: {kind}", _INDENT)
    if (guess := findings.guess) is not None:
        text = f"always answering {printable(guess.answer)} is right in {100 * guess.share:.1f} %"
        lines += wrapped(f"baseline {text} of the validation samples", _INDENT)
    lines.append(f"found    {_amounts(counts) or 'nothing'}")
    for finding in findings.findings:
        lines += ["", *_finding(finding)]
    for name, parts in findings.classes.items():
        lines += ["", *_classes(name, parts)]
    if findings.notes:
        lines += ["", *wrapped(f"{'looked':<{_INDENT}}{findings.notes}", _INDENT)]
    if recorded:
        names = ", ".join(map(printable, recorded))
        lines += wrapped(f"{'record':<{_INDENT}}The report of {names} shows this too.", _INDENT)
    return lines


def _amounts(counts: Mapping[str, int]) -> str:
    """Returns the number of findings by severity, as text."""
    return ", ".join(
        f"{amount} {name}{'' if amount == 1 or name == 'ok' else 's'}"
        for name, amount in counts.items()
        if amount
    )


def _finding(finding: Finding | DataFinding) -> Iterator[str]:
    yield from wrapped(f"{finding.severity:<{_INDENT}}{finding.title}", _INDENT)
    for text in (finding.verdict, finding.advice):
        if text:
            yield from wrapped(f"{'':<{_INDENT}}{text}", _INDENT)


def _next(diagnosis: Diagnosis) -> list[str]:
    if not diagnosis.findings:
        return wrapped(f"next     {_TOO_SHORT}", _INDENT)
    following = diagnosis.next
    if not following.reasons:
        return ["next     nothing in the record asks for another launch"]
    name = diagnosis.history.description.name
    where = "in this study" if following.name == name else f"in another study, {following.name}"
    what = "; ".join(dict.fromkeys(name for name, _ in following.reasons))
    return [
        *wrapped(f"next     {what} {where}", _INDENT),
        f"{'':<{_INDENT}}{printable(diagnosis.command)}",
    ]


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
