"""The next launch, which the findings of a diagnosis suggest: its command, settings and ranges.

`wider` and `part` return the ranges that checks suggest.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any, Final, Literal

from search_spaces import Float, Int, SearchSpace, Tailoring, read_domain, spell_domain
from search_spaces.errors import SearchSpaceError
from tracking.diagnosis.findings_and_diagnosed_study import Finding
from tracking.history import StudyHistory
from tracking.shell_commands import launch_command, launch_options


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
        options = launch_options(self.tailoring, self.settings)
        if description.cross_validation.isdigit():
            # If an option of the present launch has set the number of folds, the next launch needs
            # this option, too. If the study's file has set the number, the option does no harm.
            options.append(f"--folds {description.cross_validation}")
        return launch_command(history, self.name, options)


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
    before = Tailoring.from_dict(description.tailored) if description.tailored else Tailoring()
    tailoring = before.with_ranges(ranges, description.space, space)
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


# The playbook doesn't say how far to widen a range. As a rule of thumb, `wider` adds half of the
# range's length on its scale. On a log scale, it adds at most a factor of ten.
_LARGEST_FACTOR: Final = 10.0
_COUNTS: Final = ("epochs", "batch_size")


def wider(parameter: Float | Int, way: Literal["lower", "upper"]) -> str:
    """Returns a domain that is wider at one end, or an empty text if nothing lies beyond that end.

    Positive ranges stay positive, and ranges within 0 … 1 stay below 1. A grid keeps its steps.
    """
    low, high, up = float(parameter.low), float(parameter.high), way == "upper"
    log, linear = parameter.scale == "log", parameter.scale == "linear"
    by = (high - low) / 2 if linear else min(math.sqrt(high / low), _LARGEST_FACTOR)
    if not log and not linear:
        # A reverse log range is widened only because of its upper end. To keep the sum low + high,
        # the lower end moves, too: 0.01 to 0.99 becomes 0.001 to 0.999.
        nearer = float(f"{low / by:.2g}")
        return _spelled(parameter, nearer, low + high - nearer) if up else ""
    share = linear and isinstance(parameter, Float) and low >= 0 and high <= 1
    whole = parameter.name in _COUNTS or low >= 1 or (log and isinstance(parameter, Int))
    least = -math.inf if low < 0 else 1.0 if whole else 0.0
    if up and share:
        # If the values are shares, e.g. dropout rates, the upper end moves by at most half of its
        # distance from 1.
        by = min(by, (1 - high) / 2)
    elif not up:
        by = min(by, (low / least if least else by) if log else low - least)
    if parameter.count is not None and parameter.step != parameter.usual_step:
        step = float(parameter.step or 0)
        steps = int((math.log(by, step) if log else by / step) + 1e-9)
        by = step**steps if log else step * steps
        if isinstance(parameter, Int) and not up and log and low / by % 1:
            return ""
    # Sums are rounded, as 0.3 - 3 * 0.1 must be 0.
    if up:
        end = high * by if log else round(high + by, 12)
        return _spelled(parameter, low, end, digits=12 if share else 2)
    return _spelled(parameter, low / by if log else round(low - by, 12) or 0.0, high)


def part(parameter: Float | Int, low_unit: float, high_unit: float) -> str:
    """Returns a part of a domain, in the form of ``--set``.

    The ends of the part are results of `to_unit`: 0 is the low end of the domain, 1 the high end.
    The text is empty if the part is the whole domain.
    """
    low, high = parameter.low, parameter.high
    # The ends are rounded outwards, so that no good value is cut off.
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
    """Returns a range in the form of ``--set``.

    The text is empty if the range is the present one, or is not valid for the hyperparameter.
    """
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
        # The range is not valid for the hyperparameter.
        return ""
