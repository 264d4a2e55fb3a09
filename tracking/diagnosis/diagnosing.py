"""Diagnoses a study: the table of checks, which runs on a study's record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from search_spaces import Parameter
from tracking.diagnosis.curve_checks import CURVE_CHECKS
from tracking.diagnosis.diagnosed import SEVERITIES, Chart, DiagnosedStudy, Finding, TooThinError
from tracking.diagnosis.relaunch import NextLaunch, next_launch
from tracking.diagnosis.space_checks import boundary, infeasible_share
from tracking.diagnosis.value_checks import isolation, sufficiency, trial_variance
from tracking.history.commands import shell_command
from tracking.history.study_history import StudyHistory


class Check(NamedTuple):
    """A check of a study's record, and the chart that shows what it finds.

    It runs for the study, or for each of some hyperparameters.
    """

    name: str
    chart: Chart
    run: Callable[..., Finding | None]
    each: Callable[[DiagnosedStudy], Sequence[Parameter]] | None = None


CHECKS: Final = (
    Check("boundary", "slice", boundary, lambda study: study.ranges),
    Check("infeasible", "slice", infeasible_share),
    Check("trial variance", "intervals", trial_variance),
    *(Check(each.name, "curves", each) for each in CURVE_CHECKS),
    Check("sufficiency", "history", sufficiency),
    Check("isolation", "intervals", isolation, lambda study: study.scientific),
)
_NONE_SCIENTIFIC: Final = (
    "no hyperparameter is scientific; declare one, such as ks.batchnorm(role='scientific')."
)


class Unchecked(NamedTuple):
    """A check that the record is too thin for: what is missing, in a sentence."""

    check: str
    reason: str
    parameter: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """What the record of a study says about its search.

    Attributes:
        history: The study.
        findings: What was found, the most severe first.
        unchecked: The checks that the record is too thin for.
        next: The launch that should follow.
        command: Its command; empty if nothing asks for a launch.
    """

    history: StudyHistory
    findings: tuple[Finding, ...]
    unchecked: tuple[Unchecked, ...]
    next: NextLaunch
    command: str

    @property
    def counts(self) -> dict[str, int]:
        """The number of findings by severity."""
        return {each: sum(f.severity == each for f in self.findings) for each in SEVERITIES}

    def __repr__(self) -> str:
        """Returns one line: the study, and the number of findings by severity."""
        counts = ", ".join(f"{amount} {name}" for name, amount in self.counts.items() if amount)
        return f"<diagnosis of {self.history.description.name!r}: {counts or 'nothing found'}>"


def diagnose(history: StudyHistory, without: Path | None = None) -> Diagnosis:
    """Runs all checks on a study's record. Nothing is trained, and nothing written.

    Commands name the store, but for the folder that they are `without`.
    """
    study = DiagnosedStudy(history)
    findings: list[Finding] = []
    unchecked: list[Unchecked] = []
    for check in CHECKS:
        for parameter in (None,) if check.each is None else check.each(study):
            try:
                finding = check.run(study) if parameter is None else check.run(study, parameter)
            except TooThinError as error:
                name = "" if parameter is None else parameter.name
                unchecked.append(Unchecked(check.name, str(error), name))
                continue
            if finding is not None:
                findings.append(replace(finding, chart=check.chart))
    if not study.scientific:
        unchecked.append(Unchecked("isolation", _NONE_SCIENTIFIC))
    findings.sort(key=lambda each: SEVERITIES.index(each.severity))
    following = next_launch(history, findings)
    root = None if history.store.root == without else history.store.root
    return Diagnosis(
        history,
        tuple(replace(each, command=_command(history, each, root)) for each in findings),
        tuple(unchecked),
        following,
        following.command(history, root) if following.reasons else "",
    )


def _command(history: StudyHistory, finding: Finding, root: Path | None) -> str:
    """Returns the command that follows from a finding; empty if it takes an edit."""
    if finding.command:
        several = len(history.engines) > 1
        return shell_command(finding.command, history.description, store=root, several=several)
    alone = next_launch(history, [finding])
    return alone.command(history, root) if alone.reasons else ""


def document(diagnosis: Diagnosis) -> dict[str, Any]:
    """Returns a diagnosis as a JSON document."""
    following = diagnosis.next
    return {
        "study": diagnosis.history.description.name,
        "engine": diagnosis.history.description.engine,
        "findings": [
            {
                "check": each.check,
                "severity": each.severity,
                "title": each.title,
                "verdict": each.verdict,
                "advice": each.advice or None,
                "command": each.command or None,
                "parameter": each.parameter or None,
                "evidence": dict(each.evidence),
            }
            for each in diagnosis.findings
        ],
        "unchecked": [
            {"check": each.check, "parameter": each.parameter or None, "reason": each.reason}
            for each in diagnosis.unchecked
        ],
        "next": {
            "study": following.name,
            "settings": dict(following.settings),
            "space": following.space.to_dict(),
            "reasons": [{"changes": name, "because": why} for name, why in following.reasons],
            "command": diagnosis.command or None,
        }
        if following.reasons
        else None,
    }
