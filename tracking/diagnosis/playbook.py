"""Diagnoses a study: runs the checks on its record, and suggests the next launch."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from search_spaces import Parameter, SearchSpace, Tailoring
from search_spaces.errors import SearchSpaceError
from tracking.diagnosis.curve_checks import CURVE_CHECKS
from tracking.diagnosis.evidence import SEVERITIES, Chart, DiagnosedStudy, Finding, TooThinError
from tracking.diagnosis.space_checks import boundary, infeasible_share
from tracking.diagnosis.value_checks import isolation, sufficiency, trial_variance
from tracking.history.study_history import StudyHistory
from tracking.shell_commands import launch_command, shell_command


class Check(NamedTuple):
    """A check of a study's record, and the chart that shows its finding.

    `run` is called once, or once for each hyperparameter that `each` returns.
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
    """A check that did not run. `reason` says what the record lacks."""

    check: str
    reason: str
    parameter: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """The diagnosis of a study.

    Attributes:
        history: The study.
        findings: The findings, the most severe first.
        unchecked: The checks that did not run.
        next: The launch that should follow.
        command: The command of this launch; empty if nothing is to be launched.
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
        """Returns one line with the study and the number of findings by severity."""
        counts = ", ".join(f"{amount} {name}" for name, amount in self.counts.items() if amount)
        return f"<diagnosis of {self.history.description.name!r}: {counts or 'nothing found'}>"


def diagnose(history: StudyHistory, without: Path | None = None) -> Diagnosis:
    """Runs all checks on a study's record, without training.

    If `without` is the store's folder, the commands lack ``--store``.
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
    """Returns a finding's command; empty if the user must edit the study's code."""
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


@dataclass(frozen=True)
class NextLaunch:
    """The launch that should follow a study.

    Attributes:
        name: The name of the next study, or the present name if the launch resumes the study.
        tailoring: The changes to the space of the study's file. They include the changes of the
            present launch.
        space: The space with these changes.
        settings: The settings that the launch changes, by name.
        reasons: The name of each change, with the title of its finding. Empty if nothing is to be
            launched.
    """

    name: str
    tailoring: Tailoring
    space: SearchSpace
    settings: Mapping[str, Any] = field(default_factory=dict)
    reasons: Sequence[tuple[str, str]] = ()

    def command(self, history: StudyHistory, store: Path | None) -> str:
        """Returns the shell command, or the Python call for a notebook's study.

        The command has ``--store`` unless `store` is None.
        """
        description = history.description
        settings = dict(self.settings)
        if description.cross_validation.isdigit():
            # The folds may come from an option of the present launch. If they come from the file,
            # the option does no harm.
            settings["cross_validation"] = int(description.cross_validation)
        if description.code.path:
            options = _options(self.tailoring, settings)
            return launch_command(description, self.name, options, store=store)
        if self.name != description.name:
            settings = {"name": self.name, **settings}
        arguments = [f"{name}={value!r}" for name, value in settings.items()]
        if not self.tailoring.empty:
            arguments.append(f"tailoring=ks.{self.tailoring!r}")
        return f"study.launch({', '.join(arguments)})"


def next_launch(history: StudyHistory, findings: Sequence[Finding]) -> NextLaunch:
    """Returns the launch that follows from findings, which are sorted by severity.

    If a finding changes the space, or a setting that trials depend on, the launch begins a new
    study, e.g. ``digits-2``. Otherwise it resumes the present study.
    """
    description = history.description
    ranges: dict[str, str] = {}
    settings: dict[str, Any] = {}
    reasons: list[tuple[str, str]] = []
    another = [
        f for f in findings if not f.changes.resumes and (f.changes.ranges or f.changes.settings)
    ]
    for finding in another or findings:
        for name, text in finding.changes.ranges.items():
            if name not in ranges and _fits(description.space, {**ranges, name: text}):
                ranges[name] = text
                reasons.append((name, finding.title))
        for name, value in finding.changes.settings.items():
            if name not in settings:
                settings[name] = value
                reasons.append((name, finding.title))
    space = Tailoring(ranges=ranges).apply(description.space)
    tailoring = _onto(description.tailored, ranges, description.space, space)
    name = _following(description.name) if another else description.name
    return NextLaunch(name, tailoring, space, settings, tuple(reasons))


def _following(name: str) -> str:
    """Returns the name of the next study, e.g. digits-2 after digits, digits-3 after digits-2."""
    base, _, number = name.rpartition("-")
    return f"{base}-{int(number) + 1}" if base and number.isdecimal() else f"{name}-2"


def _fits(space: SearchSpace, ranges: Mapping[str, str]) -> bool:
    """Returns whether a space can have these ranges. With some, a child never becomes active."""
    try:
        Tailoring(ranges=ranges).apply(space)
    except SearchSpaceError:
        return False
    return True


def _onto(
    before: Mapping[str, Any], ranges: Mapping[str, str], space: SearchSpace, changed: SearchSpace
) -> Tailoring:
    """Returns the changes `before` of the present launch together with new ranges.

    `space` is the space of the present launch, `changed` the space with the new ranges.
    """
    if not before:
        return Tailoring(ranges=dict(ranges))
    only, former = Tailoring.from_dict(before)
    # The former range of a hyperparameter no longer fits if it is gone or fixed in the new space.
    former = {
        name: text
        for name, text in former.items()
        if name in changed
        and (name not in space or space[name].count == 1 or changed[name].count != 1)
    }
    if only is not None:
        varying = [name for name in space.names if space[name].count != 1]
        only = tuple(name for name in varying if name in changed and changed[name].count != 1)
    return Tailoring(only, {**former, **ranges})


def _options(tailoring: Tailoring, settings: Mapping[str, Any]) -> Sequence[str]:
    """Returns the options of ``kerastudy launch``, quoted for a shell."""
    options = [f"--only {shlex.quote(name)}" for name in tailoring.only or ()]
    options += [f"--set {shlex.quote(f'{name}={text}')}" for name, text in tailoring.ranges.items()]
    for name, value in settings.items():
        option = "--folds" if name == "cross_validation" else f"--{name.replace('_', '-')}"
        options.append(option if value is True else f"{option} {shlex.quote(str(value))}")
    return options
