"""The launch that should follow a study: wider or cut ranges, more trials, other settings."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from pathlib import Path
from typing import Any, Final, Literal

from search_spaces import Float, Int, SearchSpace, Tailoring, read_domain, spell_domain
from search_spaces.errors import SearchSpaceError
from tracking.diagnosis.diagnosed import Finding
from tracking.history.commands import launch_command
from tracking.history.study_history import StudyHistory

# The playbook gives no amount. By a rule of thumb a range grows by half of itself in its sampling
# scale, and by a factor of ten at most.
_LARGEST_FACTOR: Final = 10.0
_COUNTS: Final = ("epochs", "batch_size")


@dataclass(frozen=True)
class NextLaunch:
    """What should be launched after a study.

    Attributes:
        name: The study that it makes; the present one's name if it only resumes.
        tailoring: What it changes in the space of the study's file, with what the present launch
            had changed; `space` is the space that this makes.
        reasons: What changes, and why: names and sentences; none if nothing asks for a launch.
    """

    name: str
    tailoring: Tailoring
    space: SearchSpace
    settings: Mapping[str, Any] = field(default_factory=dict)
    reasons: Sequence[tuple[str, str]] = ()

    def command(self, history: StudyHistory, store: Path | None) -> str:
        """Returns the command, for a shell; of a study in a notebook, the call in Python.

        Without a store, the command need not name it.
        """
        description = history.description
        settings = dict(self.settings)
        if description.cross_validation.isdigit():
            # Of a launch, perhaps; else the same as in the file.
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
    """Returns the launch that follows from findings, the most severe first.

    What changes the space or a setting that trials depend on makes another study, which is called
    like the present one, with a number. If nothing does, more trials go on with the present one.
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
    """Returns further ranges on top of what the present launch changed before, as recorded.

    That launch made the space, which the further ranges change.
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
    options = [f"--only {shlex.quote(name)}" for name in tailoring.only or ()]
    options += [f"--set {shlex.quote(f'{name}={text}')}" for name, text in tailoring.ranges.items()]
    for name, value in settings.items():
        option = "--folds" if name == "cross_validation" else f"--{name.replace('_', '-')}"
        options.append(option if value is True else f"{option} {shlex.quote(str(value))}")
    return options


def wider(parameter: Float | Int, way: Literal["lower", "upper"]) -> str:
    """Returns a wider domain; empty if nothing lies beyond its end.

    A rate of 0 has no other side, a share no more than 1; a grid keeps its steps.
    """
    low, high, up = float(parameter.low), float(parameter.high), way == "upper"
    factor = min(math.sqrt(high / low), _LARGEST_FACTOR) if parameter.scale != "linear" else 0.0
    if parameter.scale == "reverse_log":
        # What counts is the distance from low + high, which stays: 0.01 to 0.99 becomes 0.001 to
        # 0.999. Downwards that distance can't double, and it need not.
        nearer = float(f"{low / factor:.2g}")
        return _spelled(parameter, nearer, low + high - nearer) if up else ""
    share = isinstance(parameter, Float) and not factor and low >= 0 and high <= 1
    whole = parameter.name in _COUNTS or low >= 1 or (factor and isinstance(parameter, Int))
    least = -math.inf if low < 0 else 1.0 if whole else 0.0
    stepped = parameter.count is not None and parameter.step != parameter.usual_step
    steps = range(max(1, (parameter.count or 0) // 2), 0, -1) if stepped else (1,)
    for count in steps:
        if factor:
            by = float(parameter.step or 0) ** count if stepped else factor
            end = high * by if up else low / by
        else:
            by = float(parameter.step or 0) * count if stepped else (high - low) / 2
            end = float(f"{high + by if up else low - by:.12g}")
        if not stepped:
            # Of a share, such as a dropout rate, half of what is left.
            if share and up and end > (high + 1) / 2:
                # In the digits of what is left.
                end = 1 - float(f"{(1 - high) / 2:.2g}")
                return _spelled(parameter, low, end, digits=12) if high < 1 else ""
            end = max(end, least)
        elif end < least or (share and end >= 1) or (isinstance(parameter, Int) and end % 1):
            continue
        return _spelled(parameter, low, end) if up else _spelled(parameter, end, high)
    return ""


def part(parameter: Float | Int, low_unit: float, high_unit: float) -> str:
    """Returns the part of a domain between two places in its sampling scale; empty if it is all."""
    low, high = parameter.low, parameter.high
    # Outwards, so that no good value is cut off.
    if low_unit > 0:
        low = max(_rounded(parameter, parameter.from_unit(low_unit), ROUND_FLOOR), low)
    if high_unit < 1:
        high = min(_rounded(parameter, parameter.from_unit(high_unit), ROUND_CEILING), high)
    return _spelled(parameter, low, high)


def _rounded(parameter: Float | Int, value: float, rounding: str) -> float:
    """Rounds a value of a continuous domain to two digits, up or down."""
    if parameter.count is not None or value == 0:
        return value
    exact = Decimal(repr(float(value)))
    return float(exact.quantize(Decimal((0, (1,), exact.adjusted() - 1)), rounding=rounding))


def _spelled(parameter: Float | Int, low: float, high: float, digits: int = 2) -> str:
    """Returns a range in the text form of `--set`; empty if it is the present one, or none."""
    if isinstance(parameter, Int):
        low, high = round(low), round(high)
    elif parameter.count is None:
        digits = 12 if parameter.scale == "reverse_log" else digits
        low = low if low == parameter.low else float(f"{low:.2g}")
        high = high if high == parameter.high else float(f"{high:.{digits}g}")
    if (low, high) == (parameter.low, parameter.high) or not low < high:
        return ""
    try:
        return spell_domain(read_domain(parameter, f"{low!r}..{high!r}:{parameter.scale}"))
    except SearchSpaceError:
        # Beyond what a range can be.
        return ""
