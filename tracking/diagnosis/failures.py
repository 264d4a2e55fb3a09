"""Infeasible trials: how many, why, and where in the space."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from search_spaces.parameters.choices import Listed
from search_spaces.parameters.parameter import Parameter
from search_spaces.parameters.ranges import Float, Int
from search_spaces.tailoring import spell_values
from tracking.diagnosis.diagnosed import DiagnosedStudy
from tracking.diagnosis.findings import Changes, Finding
from tracking.diagnosis.numbers import counted, shown
from tracking.diagnosis.ranges import part
from tracking.history.reasons import reasons
from tracking.records import EndedTrial

_MANY: Final = 0.2
_LEAST: Final = 2
_CHANCE: Final = 0.01
_PURE: Final = 0.7


@dataclass(frozen=True)
class _Region:
    """A part of a hyperparameter's domain in which trials fail.

    Attributes:
        parameter: The hyperparameter.
        text: The part, in words.
        failed: Infeasible trials in it.
        total: Trials in it.
        chance: How likely so many would be in it by chance.
        rest: What is left of the domain, in the text form of `--set`, or empty.
    """

    parameter: Parameter
    text: str
    failed: int
    total: int
    chance: float
    rest: str


def infeasible_share(study: DiagnosedStudy) -> Finding | None:
    """Finds a space, or code, in which many trials fail.

    Deep Learning Tuning Playbook, "Extracting insight from experimental results": "When a very
    large fraction of points in a study are infeasible we should try to adjust the search space to
    avoid sampling such points [...]. In some cases, a large number of infeasible points can
    indicate a bug in the training code."

    Very large is, by a rule of thumb, a fifth of the trials, of two at least. Of all places at
    which a range can be cut, and all values of a choice, that is named where failures gather most
    surely (Fisher's exact test, at 1 % over all hyperparameters), if most trials there failed.
    """
    ended = [*study.ranked, *study.infeasible]
    failed = study.infeasible
    if len(failed) < _LEAST or len(failed) < _MANY * len(ended):
        return None
    why = [each for each in reasons(failed) if each.kind == "infeasible"]
    raised = [trial for trial in failed if trial.result.raised]
    region = _where(study, ended)
    first = f": most often, {why[0].text}" if why else ""
    told = f"{len(failed)} of {counted(len(ended), 'trial')} have no value{first}"
    if region is not None:
        told += f"; {region.failed} of {region.total} fail where {region.text}"
    bug = len(raised) * 2 > len(failed)
    retry = Changes(settings={"retry_infeasible": True}, resumes=True)
    changes = Changes()
    if bug:
        changes = retry
    elif region is not None and region.rest:
        changes = Changes({region.parameter.name: region.rest})
    if bug:
        advice = "Code raised an error: mend it, then train them again."
    elif region is not None:
        advice = (
            f"Search {region.parameter.name} where trials train: {region.rest or 'elsewhere'}; or "
            "make training more stable there, by warm-up, gradient clipping or normalization."
        )
    else:
        advice = "No single hyperparameter says where: look at the reasons."
    return Finding(
        "infeasible",
        "problem",
        "Many trials are infeasible",
        f"{told}.",
        advice,
        evidence={
            "infeasible": len(failed),
            "trials": len(ended),
            "reasons": {each.text: len(each.trials) for each in why[:5]},
            **({} if region is None else {"where": region.text, "failed there": region.failed}),
        },
        parameter="" if region is None else region.parameter.name,
        changes=changes,
    )


def _where(study: DiagnosedStudy, ended: list[EndedTrial]) -> _Region | None:
    """Returns the part of one hyperparameter's domain in which failures gather, if there is one."""
    found = [
        region
        for parameter in study.varying
        for region in _regions(parameter, [t for t in ended if parameter.name in t.params])
    ]
    if not found:
        return None
    best = min(found, key=lambda each: (each.chance, -each.failed))
    return best if best.chance * len(study.varying) < _CHANCE else None


def _regions(parameter: Parameter, ended: list[EndedTrial]) -> Iterator[_Region]:
    # It takes half a second to import, and lists of studies need none of it.
    from scipy import stats

    name = parameter.name
    active = [trial for trial in ended if parameter.contains(trial.params[name])]
    failed = [trial for trial in active if trial.state == "infeasible"]
    total, marked = len(active), len(failed)
    if not marked or marked == total:
        return

    def region(text: str, inside: int, there: int, rest: str) -> Iterator[_Region]:
        if inside >= _LEAST and inside >= _PURE * there:
            chance = float(stats.hypergeom.sf(inside - 1, total, marked, there))
            yield _Region(parameter, f"{name} {text}", inside, there, chance, rest)

    if isinstance(parameter, Listed):
        for value in parameter.values:
            there = [t for t in active if parameter.canonical(t.params[name]) == value]
            inside = sum(trial.state == "infeasible" for trial in there)
            left = [other for other in parameter.values if other != value]
            rest = spell_values(parameter, left) if left else ""
            yield from region(f"is {shown(parameter.opened(value))}", inside, len(there), rest)
        return
    assert isinstance(parameter, Float | Int)
    placed = sorted((parameter.to_unit(t.params[name]), t.state == "infeasible") for t in active)
    units = [unit for unit, _ in placed]
    before = 0
    for place in range(1, total):
        before += placed[place - 1][1]
        # Where a failing trial begins or ends a region: other places are never better.
        if units[place] == units[place - 1] or placed[place][1] == placed[place - 1][1]:
            continue
        cut = (units[place - 1] + units[place]) / 2
        limit = shown(parameter.from_unit(cut))
        yield from region(
            f"is above {limit}", marked - before, total - place, part(parameter, 0.0, cut)
        )
        yield from region(f"is below {limit}", before, place, part(parameter, cut, 1.0))
