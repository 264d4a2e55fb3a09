"""What a check of a study returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from search_spaces.errors import InternalError

Severity = Literal["problem", "hint", "ok"]
SEVERITIES: Final[tuple[Severity, ...]] = ("problem", "hint", "ok")

Chart = Literal["history", "curves", "slice", "intervals"]
"""The chart that shows a finding: the best so far, the curves of its trials, the trials by its
hyperparameter, or its rows with their intervals."""


@dataclass(frozen=True)
class Changes:
    """What a finding changes in the next launch.

    Attributes:
        ranges: Domains by name, in the text form of ``--set``.
        settings: Settings of the launch by name, such as ``epochs``.
        resumes: Whether they are for the present study, launched again, not for another one.
    """

    ranges: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    resumes: bool = False


@dataclass(frozen=True)
class Finding:
    """What a check found in the record of a study.

    Attributes:
        check: The check: ``"boundary"``, ``"sufficiency"``, ``"isolation"`` and so on.
        severity: ``"problem"``: the study answers another question, or none, until it is mended;
            ``"hint"``: the next study can be better; ``"ok"``: nothing to do.
        title: The finding in a few words.
        verdict: The finding in one sentence, with its figures.
        advice: What to do, in a sentence; may be empty.
        command: The command that does it; empty if it takes an edit. Checks leave it out, or name
            the verb of another command than ``launch``; `diagnose` writes it in full.
        evidence: The figures, by name.
        parameter: The hyperparameter that it is about, or empty.
        changes: What it changes in the next launch.
        chart: The chart that shows it.
        trials: The trials that this chart shows before all others.
        rows: Of a chart of intervals: ``place``, ``value``, ``low`` and ``high`` of each.
    """

    check: str
    severity: Severity
    title: str
    verdict: str
    advice: str = ""
    command: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    parameter: str = ""
    changes: Changes = Changes()
    chart: Chart = "history"
    trials: tuple[int, ...] = field(default=(), repr=False)
    rows: Sequence[Mapping[str, Any]] = field(default=(), repr=False)


@dataclass(frozen=True)
class Unchecked:
    """A check that the record is too thin for.

    Attributes:
        check: The check.
        reason: What is missing, in a sentence.
        parameter: The hyperparameter that it is about, or empty.
    """

    check: str
    reason: str
    parameter: str = ""


class TooThinError(InternalError):
    """The record is too thin for a check; says what is missing."""


def most_severe_first(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Returns findings by severity; those alike keep their order."""
    return tuple(sorted(findings, key=lambda each: SEVERITIES.index(each.severity)))
