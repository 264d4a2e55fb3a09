"""Diagnoses a study: runs all checks on its record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from tracking.diagnosis.answers import scientific
from tracking.diagnosis.batch_sizes import batch_size
from tracking.diagnosis.boundaries import boundary
from tracking.diagnosis.diagnosed import DiagnosedStudy
from tracking.diagnosis.failures import infeasible_share
from tracking.diagnosis.findings import (
    SEVERITIES,
    Finding,
    TooThinError,
    Unchecked,
    most_severe_first,
)
from tracking.diagnosis.fits import noise_at_end, overfitting, rising_loss, underfitting
from tracking.diagnosis.isolation import isolation
from tracking.diagnosis.lengths import too_long, too_short
from tracking.diagnosis.next_launch import NextLaunch, next_launch
from tracking.diagnosis.pruning import pruners_regret
from tracking.diagnosis.sufficiency import sufficiency
from tracking.diagnosis.value_fits import CHECK as FITS
from tracking.diagnosis.value_fits import value_fits
from tracking.diagnosis.variances import trial_variance
from tracking.history.study_history import StudyHistory
from tracking.runs.pages.commands import shell_command

_CHECKS: Final[tuple[tuple[str, Callable[[DiagnosedStudy], Finding | None]], ...]] = (
    ("infeasible", infeasible_share),
    ("rising loss", rising_loss),
    ("trial variance", trial_variance),
    ("too short", too_short),
    ("overfitting", overfitting),
    ("underfitting", underfitting),
    ("noise at the end", noise_at_end),
    ("pruning", pruners_regret),
    ("too long", too_long),
    ("batch size", batch_size),
    ("sufficiency", sufficiency),
)


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
        told = ", ".join(f"{amount} {name}" for name, amount in self.counts.items() if amount)
        return f"<diagnosis of {self.history.description.name!r}: {told or 'nothing found'}>"


def diagnose(history: StudyHistory, without: Path | None = None) -> Diagnosis:
    """Runs all checks on a study's record. Nothing is trained, and nothing written.

    Args:
        history: The study.
        without: A store's folder that commands need not name.
    """
    study = DiagnosedStudy(history)
    findings: list[Finding] = []
    unchecked: list[Unchecked] = []
    for check, parameter, run in _all(study):
        try:
            found = run()
        except TooThinError as error:
            unchecked.append(Unchecked(check, str(error), parameter))
            continue
        if found is not None:
            findings.append(found)
    ordered = most_severe_first(_once(findings))
    following = next_launch(history, ordered)
    root = None if history.store.root == without else history.store.root
    return Diagnosis(
        history,
        tuple(replace(each, command=_command(history, each, root)) for each in ordered),
        tuple(unchecked),
        following,
        following.command(history, root) if following.reasons else "",
    )


def _once(findings: list[Finding]) -> list[Finding]:
    """Leaves out the share of infeasible trials where a boundary says why they failed."""
    limits = {each.parameter for each in findings if "fails beyond" in each.evidence}
    return [f for f in findings if f.check != "infeasible" or f.parameter not in limits]


def _all(
    study: DiagnosedStudy,
) -> Iterator[tuple[str, str, Callable[[], Finding | None]]]:
    """Yields each check with its name, and the hyperparameter that it is about."""
    for each in study.ranges:
        yield "boundary", each.name, lambda each=each: boundary(study, each)  # type: ignore[misc]
    for name, check in _CHECKS:
        yield name, "", lambda check=check: check(study)  # type: ignore[misc]
    found = scientific(study)
    for parameter in found:
        yield "isolation", parameter.name, lambda p=parameter: isolation(study, p)  # type: ignore[misc]
        yield FITS, parameter.name, lambda p=parameter: value_fits(study, p)  # type: ignore[misc]
    if not found:
        yield "isolation", "", _no_scientific


def _no_scientific() -> Finding | None:
    raise TooThinError(
        "no hyperparameter is scientific; declare one, such as "
        "ks.batch_normalization(role='scientific')."
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
