"""The launch that the findings of a diagnosis suggest, and its command."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from search_spaces import SearchSpace, Tailoring
from search_spaces.errors import SearchSpaceError
from tracking.diagnosis.diagnosed_study import Finding
from tracking.history.study_history import StudyHistory
from tracking.shell_commands import launch_command


@dataclass(frozen=True)
class NextLaunch:
    """The launch of a study that findings suggest as the next one.

    Attributes:
        name: The name of the next study, or the present name if the launch resumes the study.
        tailoring: The changes to the space in the study's file: the changes that the present launch
            made, and the new changes.
        space: The space with these changes.
        settings: The settings that the launch changes, by name.
        reasons: Each change's name, and the title of the finding that suggests the change. Empty if
            no launch is suggested.
    """

    name: str
    tailoring: Tailoring
    space: SearchSpace
    settings: Mapping[str, Any] = field(default_factory=dict)
    reasons: Sequence[tuple[str, str]] = ()

    def command(self, history: StudyHistory) -> str:
        """Returns the shell command. It is empty for a study of a notebook, which has no file."""
        description = history.description
        if not description.code.path:
            return ""
        settings = dict(self.settings)
        if description.cross_validation.isdigit():
            # If an option of the present launch has set the number of folds, the next launch needs
            # this option, too. If the study's file has set the number, the option does no harm.
            settings["cross_validation"] = int(description.cross_validation)
        return launch_command(history, self.name, _options(self.tailoring, settings))


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
            if name not in ranges and _is_valid(description.space, {**ranges, name: text}):
                ranges[name] = text
                reasons.append((name, finding.title))
        for name, value in finding.changes.settings.items():
            if name not in settings:
                settings[name] = value
                reasons.append((name, finding.title))
    space = Tailoring(ranges=ranges).apply(description.space)
    tailoring = _combined(description.tailored, ranges, description.space, space)
    name = _following(description.name) if another else description.name
    return NextLaunch(name, tailoring, space, settings, tuple(reasons))


def _following(name: str) -> str:
    """Returns the name of the next study, e.g. digits-2 after digits, digits-3 after digits-2."""
    base, _, number = name.rpartition("-")
    return f"{base}-{int(number) + 1}" if base and number.isdecimal() else f"{name}-2"


def _is_valid(space: SearchSpace, ranges: Mapping[str, str]) -> bool:
    """Returns whether a space is valid with new ranges: each condition can still be met."""
    try:
        Tailoring(ranges=ranges).apply(space)
    except SearchSpaceError:
        return False
    return True


def _combined(
    before: Mapping[str, Any], ranges: Mapping[str, str], space: SearchSpace, changed: SearchSpace
) -> Tailoring:
    """Returns the changes of the present launch (`before`) together with new ranges.

    `space` is the space of the present launch, `changed` the space with the new ranges.
    """
    if not before:
        return Tailoring(ranges=dict(ranges))
    only, former = Tailoring.from_dict(before)
    # A hyperparameter that is gone or fixed in the new space can't have its former range.
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
