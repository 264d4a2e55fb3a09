"""What a study's record says about its search, as text: the most severe findings first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from studies.lines import printable, wrapped
from tracking.diagnosis.diagnose import Diagnosis
from tracking.diagnosis.findings import Finding
from tracking.diagnosis.numbers import counted

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
    lines += _rounds(diagnosis)
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


def next_text(diagnosis: Diagnosis) -> str:
    """Returns the next round, as text: what changes, its options, and the same as Python."""
    following = diagnosis.next
    nothing = "# Nothing in the record asks for another round."
    if not following.reasons:
        return nothing if diagnosis.findings else f"# {_TOO_SHORT[0].upper()}{_TOO_SHORT[1:]}."
    lines = [] if following.asked_for else [nothing, "# A narrower one, around the best trials:"]
    for name, why in following.reasons:
        lines += wrapped(f"# {name}: {why.removeprefix(f'{name}: ')}", 2)
    lines += ["", printable(diagnosis.command)] if diagnosis.command else []
    lines += ["", "# The same options, one to a line:"]
    lines += [f"  {printable(option)}" for option in following.options]
    lines += ["", "# The same in Python:", *map(printable, following.python.split("\n"))]
    return "\n".join(lines)


def _finding(finding: Finding) -> Iterator[str]:
    yield from wrapped(f"{finding.severity:<{_INDENT}}{finding.title}", _INDENT)
    for text in (finding.verdict, finding.advice):
        if text:
            yield from wrapped(f"{'':<{_INDENT}}{text}", _INDENT)
    if finding.command:
        # On one line, to copy it.
        yield f"{'':<{_INDENT}}{printable(finding.command)}"


def _rounds(diagnosis: Diagnosis) -> list[str]:
    rounds = diagnosis.rounds
    told = [f"round    {rounds.number}"] if rounds.before or rounds.after else []
    told += [f"after {rounds.before.study}"] if rounds.before else []
    told += [f"before {rounds.after.study}"] if rounds.after else []
    return wrapped(", ".join(told), _INDENT)


def _next(diagnosis: Diagnosis) -> list[str]:
    if not diagnosis.findings:
        return wrapped(f"next     {_TOO_SHORT}", _INDENT)
    if not diagnosis.next.asked_for:
        return ["next     nothing in the record asks for another round"]
    return [
        *wrapped(
            "next     "
            + "; ".join(dict.fromkeys(name for name, _ in diagnosis.next.reasons))
            + " in another round (--next says how and why)",
            _INDENT,
        ),
        f"{'':<{_INDENT}}{printable(diagnosis.command)}",
    ]
