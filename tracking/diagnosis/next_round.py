"""The next round: a space that follows from what was found, as options and as Python."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from search_spaces import SearchSpace
from search_spaces.errors import SearchSpaceError
from search_spaces.parameters.kinds import Float, Int
from search_spaces.spellings import spell_domain
from search_spaces.tailoring import Tailoring
from tracking.diagnosis.diagnosed import DiagnosedStudy
from tracking.diagnosis.findings import Finding
from tracking.diagnosis.fits import regularizes
from tracking.diagnosis.widening import between

_LEAST_TRIALS: Final = 20
_LEAST_BEST: Final = 5
_MARGIN: Final = 0.15
_WIDEST: Final = 0.6
_NARROWEST: Final = 0.25
# Less is not worth cutting off.
_SLIVER: Final = 0.05
# Settings that have their own findings.
_NOT_NARROWED: Final = ("epochs", "batch_size")


@dataclass(frozen=True)
class NextRound:
    """What the next round searches.

    Attributes:
        number: Its number; the first round has 1.
        space: Its space.
        tailoring: What makes it of the study's own space: what changes now, and what the launch of
            the present round had changed.
        settings: Settings of its launch by name.
        reasons: What changes, and why: names and sentences.
        declared: Whether the study's own space has all that changes; else only its builder has.
        asked_for: Whether a finding asks for another round. Else it is only a narrower one.
    """

    number: int
    space: SearchSpace
    tailoring: Tailoring
    settings: Mapping[str, Any] = field(default_factory=dict)
    reasons: Sequence[tuple[str, str]] = ()
    declared: bool = True
    asked_for: bool = False

    @property
    def options(self) -> tuple[str, ...]:
        """The options of ``launch``, each quoted for a shell."""
        return options_of(self.tailoring, self.settings)

    @property
    def python(self) -> str:
        """The same as Python, for a study called ``study``."""
        arguments = [f"round={self.number}"]
        lines = [] if self.tailoring.empty or not self.declared else [*self._space_in_python()]
        if lines:
            arguments.append("space=space")
        arguments += [f"{name}={value!r}" for name, value in self.settings.items()]
        return "\n".join([*lines, f"study.launch({', '.join(arguments)})"])

    def _space_in_python(self) -> Iterator[str]:
        """Yields the lines that make the space of the study's own, in the order of a tailoring."""
        only, fixed, ranges = self.tailoring
        yield "space = study.space" + (".replace(" if ranges else "")
        if ranges:
            yield from (f"    ks.{self.space[name]!r}," for name in ranges)
            yield ")"
        if fixed:
            values = {name: self.space[name].opened(self.space[name].default) for name in fixed}
            yield f"space = space.fix({values!r})"
        if only is not None:
            yield f"space = space.only({', '.join(map(repr, only))})"


def options_of(tailoring: Tailoring, settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns options of ``launch``, each quoted for a shell."""
    found = [f"--only {shlex.quote(name)}" for name in tailoring.only or ()]
    for option, texts in (("--fix", tailoring.fix), ("--set", tailoring.ranges)):
        found += [f"{option} {shlex.quote(f'{name}={text}')}" for name, text in texts.items()]
    for name, value in settings.items():
        option = f"--{name.replace('_', '-')}"
        if value is True:
            found.append(option)
        elif isinstance(value, Mapping):
            # Of an engine or a pruner: one option for each setting.
            pairs = [shlex.quote(f"{key}={each}") for key, each in value.items()]
            found += [f"{option.removesuffix('s')} {pair}" for pair in pairs]
        else:
            found.append(f"{option} {shlex.quote(str(value))}")
    return tuple(found)


def next_round(study: DiagnosedStudy, findings: Sequence[Finding], number: int) -> NextRound:
    """Returns the next round of a study.

    Deep Learning Tuning Playbook, "The incremental tuning strategy": each round learns from the
    last. Ranges at whose ends the best trials crowd are widened, those in which trials fail are
    cut, values that are clearly worse are left out; all other ranges are narrowed to where the
    best tenth of trials (five at least) lies, with 15 % of the range on each side, if that is at
    most 60 % of the range and twenty trials have a value (rules of thumb; "After exploration
    concludes"). The strength of regularization is not, where the best trials overfit.

    Args:
        study: The present round.
        findings: What was found in it, the most severe first.
        number: The number of the next round.
    """
    space = study.history.description.space
    wanted: dict[str, tuple[str, str]] = {}
    settings: dict[str, Any] = {}
    reasons: list[tuple[str, str]] = []
    for finding in findings:
        if finding.changes.resumes:
            continue
        for name, text in finding.changes.ranges.items():
            wanted.setdefault(name, (text, finding.title))
        for name, value in finding.changes.settings.items():
            if name not in settings:
                settings[name] = value
                reasons.append((name, finding.title))
    found = {*wanted}
    # The best epochs of trials that overfit need no regularization, which is no reason against it.
    overfits = any(finding.check == "overfitting" for finding in findings)
    for parameter in study.ranges:
        text = _narrowed(study, parameter)
        kept = parameter.name in _NOT_NARROWED or (overfits and regularizes(parameter.name))
        if text and not kept:
            wanted.setdefault(
                parameter.name, (text, f"{parameter.name}: the best trials lie in a part of it")
            )
    ranges: dict[str, str] = {}
    for name, (text, why) in wanted.items():
        if _fits(space, {**ranges, name: text}):
            ranges[name] = text
            reasons.append((name, why))
    changed = Tailoring(ranges=ranges).apply(space)
    tailoring = _onto(study.history.description.tailored, ranges, space, changed)
    return NextRound(
        number,
        changed,
        tailoring,
        settings,
        tuple(reasons),
        declared=set(tailoring.ranges) <= set(study.history.description.declared),
        asked_for=bool(settings) or bool(found & set(ranges)),
    )


def _onto(
    before: Mapping[str, Any], ranges: Mapping[str, str], space: SearchSpace, changed: SearchSpace
) -> Tailoring:
    """Returns further ranges on top of the tailoring of the present round.

    Args:
        before: That tailoring, as it was recorded.
        ranges: The further ranges.
        space: The space that it made.
        changed: The next round's.
    """
    if not before:
        return Tailoring(ranges=dict(ranges))
    only, fix, former = Tailoring.from_dict(before)

    def stays(name: str) -> bool:
        # A child whose parent is fixed elsewhere now is gone, or fixed at what it reads then.
        return name in changed and (name not in space or space[name].when == changed[name].when)

    fix = {
        name: value if isinstance(value, str) else spell_domain(space[name])
        for name, value in fix.items()
        if name not in ranges and stays(name)
    }
    former = {name: text for name, text in former.items() if stays(name)}
    if only is not None:
        names = [name for name in space.names if space[name].count != 1]
        only = tuple(name for name in names if name in changed and changed[name].count != 1)
    return Tailoring(only, fix, {**former, **ranges})


def _narrowed(study: DiagnosedStudy, parameter: Float | Int) -> str:
    """Returns the part of a range in which the best trials lie; empty if it is most of it."""
    active = [t for t in study.ranked if parameter.contains(t.params.get(parameter.name))]
    if len(active) < _LEAST_TRIALS:
        return ""
    best = active[: max(len(study.top(active)), _LEAST_BEST)]
    units = np.array([parameter.to_unit(t.params[parameter.name]) for t in best])
    low, high = float(units.min()) - _MARGIN, float(units.max()) + _MARGIN
    lacking = _NARROWEST - (high - low)
    if lacking > 0:
        low, high = low - lacking / 2, high + lacking / 2
    low, high = low if low > _SLIVER else 0.0, high if high < 1 - _SLIVER else 1.0
    if high - low > _WIDEST:
        return ""
    return between(parameter, low, high)


def _fits(space: SearchSpace, ranges: Mapping[str, str]) -> bool:
    """Returns whether a space can be changed so: a named child may never become active."""
    try:
        Tailoring(ranges=ranges).apply(space)
    except SearchSpaceError:
        return False
    return True
