"""`diagnose`: runs the checks on a study's record, and adds the launch that they suggest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from search_spaces import Parameter
from search_spaces.texts import amounts
from tracking.diagnosis.curve_checks import CURVE_CHECKS, CurveCheck
from tracking.diagnosis.findings_and_diagnosed_study import (
    DiagnosedStudy,
    Finding,
    TooThinError,
)
from tracking.diagnosis.hyperparameter_checks import boundary, isolation
from tracking.diagnosis.suggested_launch import NextLaunch, next_launch
from tracking.diagnosis.trial_checks import chosen, infeasible_share, sufficiency, trial_variance
from tracking.history import StudyHistory
from tracking.records import FAULTS, SEVERITIES
from tracking.shell_commands import study_command


class Check(NamedTuple):
    """A check of a study's record.

    `run` is called once for the study. If there is a function `parameters`, `run` is called once
    for each hyperparameter that this function returns.
    """

    name: str
    run: Callable[..., Finding | None]
    parameters: Callable[[DiagnosedStudy], Sequence[Parameter]] | None = None


CHECKS: Final = (
    # `boundary` does not check the range of epochs. A trial counts with its best epoch, so trials
    # of many epochs are among the best even if they overfit. The checks of learning curves say
    # whether more epochs help.
    Check("boundary", boundary, lambda s: [p for p in s.ranges if p.name != "epochs"]),
    Check("infeasible", infeasible_share),
    # What is known of the chosen trial is later evidence than the differences between all trials.
    Check("trial variance", lambda study: chosen(study) or trial_variance(study)),
    *(Check(check.name, check) for check in CURVE_CHECKS),
    Check("sufficiency", sufficiency),
    Check("isolation", isolation, lambda study: study.scientific),
)
_NONE_SCIENTIFIC: Final = (
    "no hyperparameter is scientific; declare one, such as ks.batchnorm(role='scientific')."
)


class Unchecked(NamedTuple):
    """A check that did not run, and the reason, e.g. that the study has too few trials."""

    check: str
    reason: str
    parameter: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """The diagnosis of a study.

    Attributes:
        history: The study.
        findings: The findings, the most severe first.
        passed: The names of checks that ran and found nothing.
        unchecked: The checks that did not run.
        next: The launch that the findings suggest.
        command: The command of this launch; empty if the findings suggest none.
    """

    history: StudyHistory
    findings: tuple[Finding, ...]
    passed: tuple[str, ...]
    unchecked: tuple[Unchecked, ...]
    next: NextLaunch
    command: str

    @property
    def counts(self) -> dict[str, int]:
        """The number of findings by severity."""
        severities = [finding.severity for finding in self.findings]
        return {severity: severities.count(severity) for severity in SEVERITIES}

    @property
    def amounts(self) -> str:
        """The numbers of findings, such as ``1 problem, 2 hints``."""
        return amounts(self.counts, FAULTS)

    def __repr__(self) -> str:
        """Returns one line with the study and the number of findings by severity."""
        return f"<diagnosis of {self.history.description.name!r}: {self.amounts or 'no findings'}>"


def diagnose(history: StudyHistory) -> Diagnosis:
    """Runs all checks on a study's record, without training."""
    study = DiagnosedStudy(history)
    findings: list[Finding] = []
    unchecked: list[Unchecked] = []
    passed: list[str] = []
    # Without epochs, as with an objective function that trains nothing, there are no curves.
    epochs = any(trial.result.epochs_in_all for trial in history.ended)
    for check in (each for each in CHECKS if epochs or not isinstance(each.run, CurveCheck)):
        calls: list[tuple[Parameter, ...]] = [()]
        if check.parameters is not None:
            calls = [(parameter,) for parameter in check.parameters(study)]
        before = len(findings) + len(unchecked)
        for arguments in calls:
            try:
                if (finding := check.run(study, *arguments)) is not None:
                    findings.append(finding)
            except TooThinError as error:
                names = [parameter.name for parameter in arguments]
                unchecked.append(Unchecked(check.name, str(error), *names))
        if calls and before == len(findings) + len(unchecked):
            passed.append(check.name)
    if not study.scientific:
        unchecked.append(Unchecked("isolation", _NONE_SCIENTIFIC))
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    # If the champion is in doubt, only a fault of the search is a reason to launch again.
    doubt = study.verdict.doubt
    following = next_launch(history, [f for f in findings if not doubt or f.severity == "problem"])
    return Diagnosis(
        history,
        tuple(replace(finding, command=_command(history, finding)) for finding in findings),
        tuple(passed),
        tuple(unchecked),
        following,
        following.command(history) if following.reasons else "",
    )


def _command(history: StudyHistory, finding: Finding) -> str:
    """Returns a finding's command, or an empty text if the user must edit the study's code."""
    if finding.command:
        return study_command(history, finding.command)
    alone = next_launch(history, [finding])
    return alone.command(history) if alone.reasons else ""


def document(diagnosis: Diagnosis) -> dict[str, Any]:
    """Returns a diagnosis as a JSON document."""
    following = diagnosis.next
    return {
        "study": diagnosis.history.description.name,
        "engine": diagnosis.history.description.engine,
        "findings": [
            {
                "check": finding.check,
                "severity": finding.severity,
                "title": finding.title,
                "verdict": finding.verdict,
                "advice": finding.advice or None,
                "command": finding.command or None,
                "parameter": finding.parameter or None,
                "evidence": dict(finding.evidence),
            }
            for finding in diagnosis.findings
        ],
        "passed": list(diagnosis.passed),
        "unchecked": [
            {"check": check, "parameter": parameter or None, "reason": reason}
            for check, reason, parameter in diagnosis.unchecked
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
