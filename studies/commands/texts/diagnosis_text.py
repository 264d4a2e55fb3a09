"""What a study's record says about its search, as text: the most severe findings first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from studies.lines import printable, wrapped
from tracking.diagnosis.diagnosed import Finding
from tracking.diagnosis.diagnosing import Diagnosis
from tracking.texts import counted

_INDENT: Final = 9
_TOO_SHORT: Final = "the record is too short for advice: run more trials, or longer ones"
COLORS: Final = {"problem": "bold red", "hint": "bold yellow", "ok": "green"}
"""The colours of the words that begin a finding, on a terminal."""


def diagnosis_text(diagnosis: Diagnosis) -> str:
    """Returns what was found in a study, as text."""
    history = diagnosis.history
    description = history.description
    told = ", ".join(
        f"{amount} {name}{'' if amount == 1 or name == 'ok' else 's'}"
        for name, amount in diagnosis.counts.items()
        if amount
    )
    lines = wrapped(
        f"study    {description.name}: {counted(len(history.trials), 'trial')} by "
        f"{description.engine}, "
        f"{description.objective.direction} {description.objective.metric}",
        _INDENT,
    )
    lines.append(f"found    {told or 'nothing: see what could not be checked'}")
    for finding in diagnosis.findings:
        lines += ["", *_finding(finding)]
    if diagnosis.unchecked:
        lines += ["", "not checked"]
        for each in diagnosis.unchecked:
            what = f"{each.check} of {each.parameter}" if each.parameter else each.check
            lines += wrapped(f"         {what}: {each.reason}", _INDENT + 2)
    lines += ["", *_next(diagnosis)]
    return "\n".join(lines)


def _finding(finding: Finding) -> Iterator[str]:
    yield from wrapped(f"{finding.severity:<{_INDENT}}{finding.title}", _INDENT)
    for text in (finding.verdict, finding.advice):
        if text:
            yield from wrapped(f"{'':<{_INDENT}}{text}", _INDENT)
    if finding.command:
        # On one line, to copy it.
        yield f"{'':<{_INDENT}}{printable(finding.command)}"


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
