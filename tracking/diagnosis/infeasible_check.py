"""The check `infeasible`: do many trials fail, and in which part of the search space?"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final, NamedTuple

from search_spaces import Float, Int, Listed, Parameter, spell_values
from search_spaces.texts import counted, readable
from tracking.diagnosis.boundary_check import part
from tracking.diagnosis.diagnosed_study import Changes, DiagnosedStudy, Finding
from tracking.history.trial_ranks import reasons
from tracking.records import EndedTrial

_UNLIKELY: Final = 0.01
_MANY_FAILED: Final = 0.2
_LEAST_FAILED: Final = 2
_PURE: Final = 0.7


class _Region(NamedTuple):
    """A part of a hyperparameter's domain in which trials fail.

    `chance` is the probability that so many failures are in the region by chance. `rest` is the
    rest of the domain in the form of ``--set``, or empty.
    """

    parameter: Parameter
    text: str  # E.g. "learning_rate is above 0.1".
    failed: int
    total: int
    chance: float
    rest: str


def infeasible_share(study: DiagnosedStudy) -> Finding | None:
    """Finds out whether many trials fail, and in which part of the search space.

    Deep Learning Tuning Playbook, "Extracting insight from experimental results": "When a very
    large fraction of points in a study are infeasible we should try to adjust the search space to
    avoid sampling such points [...]. In some cases, a large number of infeasible points can
    indicate a bug in the training code."

    Here the fraction is very large if a fifth of the trials fail, and at least two (a rule of
    thumb). The finding names the part of a range, or the value of a choice, whose failures are
    least likely to be chance (Fisher's exact test, at 1 % over all hyperparameters). At least 70 %
    of the trials in this part must have failed.
    """
    trials, failures = [*study.ranked, *study.infeasible], study.infeasible
    if len(failures) < _LEAST_FAILED or len(failures) < _MANY_FAILED * len(trials):
        return None
    why = reasons(failures)
    region = _where(study, trials)
    verdict = f"{len(failures)} of {counted(len(trials), 'trial')} have no value"
    evidence = {
        "infeasible": len(failures),
        "trials": len(trials),
        "reasons": {reason.text: len(reason.trials) for reason in why[:5]},
    }
    advice, changes = "No single hyperparameter says where: look at the reasons.", Changes()
    if why:
        verdict += f": most often, {why[0].text}"
    if region is not None:
        verdict += f"; {region.failed} of {region.total} fail where {region.text}"
        evidence |= {"where": region.text, "failed there": region.failed}
        changes = Changes({region.parameter.name: region.rest} if region.rest else {})
        advice = (
            f"Search {region.parameter.name} where trials train: {region.rest or 'elsewhere'}; or "
            "make training more stable there, by warm-up, gradient clipping or normalization."
        )
    if sum(bool(trial.result.raised) for trial in failures) * 2 > len(failures):
        changes = Changes(settings={"retry_infeasible": True}, resumes=True)
        advice = "The code raised an error: mend it, then train these trials again."
    return Finding(
        "infeasible",
        "problem",
        "Many trials are infeasible",
        f"{verdict}.",
        advice,
        evidence=evidence,
        parameter="" if region is None else region.parameter.name,
        changes=changes,
    )


def _where(study: DiagnosedStudy, trials: list[EndedTrial]) -> _Region | None:
    """Returns the region whose failures are least likely to be chance, if they are significant."""
    regions = [
        region
        for parameter in study.varying
        for region in _regions(parameter, [t for t in trials if parameter.name in t.params])
    ]
    if not regions:
        return None
    best = min(regions, key=lambda region: (region.chance, -region.failed))
    return best if best.chance * len(study.varying) < _UNLIKELY else None


def _regions(parameter: Parameter, trials: list[EndedTrial]) -> Iterator[_Region]:
    name = parameter.name
    active = [trial for trial in trials if parameter.contains(trial.params[name])]
    total, failures = len(active), sum(trial.state == "infeasible" for trial in active)
    if not 0 < failures < total:
        return

    def region(text: str, failed_inside: int, inside: int, rest: str) -> Iterator[_Region]:
        if failed_inside >= _LEAST_FAILED and failed_inside >= _PURE * inside:
            # This import takes half a second, and most studies do not need it.
            from scipy import stats

            chance = float(stats.hypergeom.sf(failed_inside - 1, total, failures, inside))
            yield _Region(parameter, f"{name} {text}", failed_inside, inside, chance, rest)

    if isinstance(parameter, Listed):
        for value in parameter.values:
            inside = [t for t in active if parameter.canonical(t.params[name]) == value]
            failed_inside = sum(trial.state == "infeasible" for trial in inside)
            others = [other for other in parameter.values if other != value]
            rest = spell_values(parameter, others) if others else ""
            text = f"is {readable(parameter.opened(value))}"
            yield from region(text, failed_inside, len(inside), rest)
        return
    assert isinstance(parameter, Float | Int)
    points = sorted((parameter.to_unit(t.params[name]), t.state == "infeasible") for t in active)
    below = 0
    for place, ((unit, infeasible), (next_unit, next_infeasible)) in enumerate(pairwise(points), 1):
        below += infeasible
        # The best cut is between a failed trial and a trial with a value, so all other places are
        # skipped.
        if unit == next_unit or infeasible == next_infeasible:
            continue
        cut = (unit + next_unit) / 2
        limit, above = readable(parameter.from_unit(cut)), failures - below
        yield from region(f"is above {limit}", above, total - place, part(parameter, 0.0, cut))
        yield from region(f"is below {limit}", below, place, part(parameter, cut, 1.0))
