"""The launch that should follow a study: wider or cut ranges, more trials, other settings."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from search_spaces import SearchSpace
from search_spaces.errors import SearchSpaceError
from search_spaces.tailoring import Tailoring
from tracking.diagnosis.findings import Finding
from tracking.history.study_history import StudyHistory
from tracking.runs.commands import launch_command


@dataclass(frozen=True)
class NextLaunch:
    """What should be launched after a study.

    Attributes:
        name: The study that it makes; the present one's name if it only goes on.
        tailoring: What it changes in the space of the study's file, with what the present launch
            had changed.
        space: The space that this makes.
        settings: Settings by name, such as ``epochs``.
        reasons: What changes, and why: names and sentences; none if nothing asks for a launch.
    """

    name: str
    tailoring: Tailoring
    space: SearchSpace
    settings: Mapping[str, Any] = field(default_factory=dict)
    reasons: Sequence[tuple[str, str]] = ()

    def command(self, history: StudyHistory, store: Path | None) -> str:
        """Returns the command, for a shell; of a study in a notebook, the call in Python.

        Args:
            history: The present study.
            store: The store's folder; None: the command need not name it.
        """
        description = history.description
        settings = dict(self.settings)
        if description.cross_validation.isdigit():
            # Of a launch, perhaps; else the same as in the file.
            settings["cross_validation"] = int(description.cross_validation)
        if description.code.path:
            options = [*_options(self.tailoring, settings)]
            return launch_command(description, self.name, options, store=store)
        given = {} if self.name == description.name else {"name": self.name}
        told = [f"{name}={value!r}" for name, value in {**given, **settings}.items()]
        if not self.tailoring.empty:
            told.append(f"tailoring=ks.{self.tailoring!r}")
        return f"study.launch({', '.join(told)})"


def next_launch(history: StudyHistory, findings: Sequence[Finding]) -> NextLaunch:
    """Returns the launch that follows from findings, the most severe first.

    What changes the space or a setting that trials depend on makes another study, which is called
    like the present one, with a number. If nothing does, more trials go on with the present one.
    """
    description = history.description
    ranges: dict[str, str] = {}
    settings: dict[str, Any] = {}
    reasons: list[tuple[str, str]] = []
    anew = [
        f for f in findings if not f.changes.resumes and (f.changes.ranges or f.changes.settings)
    ]
    for finding in anew or findings:
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
    name = _following(description.name) if anew else description.name
    return NextLaunch(name, tailoring, space, settings, tuple(reasons))


def _following(name: str) -> str:
    """Returns the name of the study after one: digits, digits-2, digits-3."""
    base, _, number = name.rpartition("-")
    return f"{base}-{int(number) + 1}" if base and number.isdecimal() else f"{name}-2"


def _fits(space: SearchSpace, ranges: Mapping[str, str]) -> bool:
    """Returns whether a space can be changed so: a named child may never become active."""
    try:
        Tailoring(ranges=ranges).apply(space)
    except SearchSpaceError:
        return False
    return True


def _onto(
    before: Mapping[str, Any], ranges: Mapping[str, str], space: SearchSpace, changed: SearchSpace
) -> Tailoring:
    """Returns further ranges on top of those of the present launch.

    Args:
        before: What that launch changed, as it was recorded.
        ranges: The further ranges.
        space: The space that it made.
        changed: The space with the further ranges.
    """
    if not before:
        return Tailoring(ranges=dict(ranges))
    only, former = Tailoring.from_dict(before)
    # A child whose parent is fixed elsewhere now is gone, or fixed at what it reads then.
    former = {
        name: text
        for name, text in former.items()
        if name in changed and (name not in space or space[name].when == changed[name].when)
    }
    if only is not None:
        varying = [name for name in space.names if space[name].count != 1]
        only = tuple(name for name in varying if name in changed and changed[name].count != 1)
    return Tailoring(only, {**former, **ranges})


def _options(tailoring: Tailoring, settings: Mapping[str, Any]) -> Sequence[str]:
    """Returns options of ``launch``, each quoted for a shell."""
    found = [f"--only {shlex.quote(name)}" for name in tailoring.only or ()]
    found += [f"--set {shlex.quote(f'{name}={text}')}" for name, text in tailoring.ranges.items()]
    for name, value in settings.items():
        option = "--folds" if name == "cross_validation" else f"--{name.replace('_', '-')}"
        found.append(option if value is True else f"{option} {shlex.quote(str(value))}")
    return found
