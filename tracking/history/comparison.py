"""Compares studies, or one study's engines, by best values and costs.

The cost of a study is its epochs and its seconds of training, summed over all trials:

- Pruned and infeasible trials count, too. Repeated trials count with all of their trainings.
- If a trial continues another trial, only its own epochs count.
- The sum does not depend on the number of workers.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from search_spaces.argument_checks import finite_number
from search_spaces.errors import ComparisonError
from search_spaces.texts import listed
from tracking.history.answers import Answer, answer, epochs_of
from tracking.history.study_history import StudyHistory
from tracking.records import EndedTrial, Objective, TrialRecord


@dataclass(frozen=True)
class Reached:
    """The cost of reaching a target: all trials, by number, up to the first that reaches it.

    The costs are None if no trial reaches the target.

    Attributes:
        target: The value to reach.
        trials: The number of trials.
        epochs: Their epochs.
        seconds: Their seconds of training.
    """

    target: float
    trials: int | None = None
    epochs: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Standing:
    """A study in a comparison.

    Attributes:
        label: The study's name in this comparison.
        history: The study.
        best: Its best trial, or None if no trial has a value.
        epochs: The epochs of all trials.
        seconds: The seconds of training of all trials.
        reached: The cost of reaching each target.
    """

    label: str
    history: StudyHistory
    best: EndedTrial | None
    epochs: int
    seconds: float
    reached: tuple[Reached, ...]


@dataclass(frozen=True)
class Comparison:
    """Studies side by side.

    Attributes:
        objective: The objective of all studies.
        standings: The studies, in the order in which they were given.
        targets: The values to reach, the easiest first.
        notes: Sentences that warn of differences between the studies.
        answer: Which one is better at equal budget.
    """

    objective: Objective
    standings: tuple[Standing, ...]
    targets: tuple[float, ...]
    notes: tuple[str, ...]
    answer: Answer


def compare(histories: Sequence[StudyHistory], reach: Sequence[float] = ()) -> Comparison:
    """Compares studies, or one study's engines.

    Args:
        histories: Two or more studies, or a study under two or more engines.
        reach: Values of the objective to reach. There are three by default: the worst of the
            studies' best values, which all of them reach; the median of all trials' values; and the
            middle between these two.

    Raises:
        ComparisonError: If there are fewer than two histories, or one twice; if their objectives or
            directions differ; or if a value to reach is not finite.
    """
    _check(histories, reach)
    objective = histories[0].description.objective
    bests = [history.holding for history in histories]
    targets = tuple(sorted(set(reach) or _targets(bests, objective), key=objective.sort_key))[::-1]
    standings = tuple(
        Standing(
            label=label,
            history=history,
            best=best[0] if best else None,
            epochs=sum(map(epochs_of, history.ended)),
            seconds=math.fsum(trial.result.seconds for trial in history.ended),
            reached=_reached(history, targets),
        )
        for label, history, best in zip(_labels(histories), histories, bests, strict=True)
    )
    return Comparison(
        objective=objective,
        standings=standings,
        targets=targets,
        notes=tuple(_notes(standings)),
        answer=answer(histories, _labels(histories)),
    )


def _check(histories: Sequence[StudyHistory], reach: Sequence[float]) -> None:
    keys = [(each.description.name, each.description.engine) for each in histories]
    called = [f"{name!r} by {engine}" for name, engine in keys]
    if len(set(keys)) < len(keys):
        twice = next(name for name in called if called.count(name) > 1)
        hint = "Name another study, or another engine."
        raise ComparisonError(f"The study {twice} is given twice", hint=hint)
    if len(keys) < 2:
        raise ComparisonError(
            "Comparing takes two studies, or one that was launched with two engines. Received: "
            f"{listed(called) or 'none'}."
        )
    objectives = [each.description.objective for each in histories]
    if len(set(objectives)) > 1:
        targets = (f"{objective.direction} {objective.metric}" for objective in objectives)
        pairs = "; ".join(map(": ".join, zip(called, targets, strict=True)))
        raise ComparisonError(
            "Studies with different objectives can't be compared by value. Received: "
            f"{pairs}. Compare studies that optimize the same metric in the same direction."
        )
    for value in reach:
        finite_number("A value to reach", value, ComparisonError)


def _labels(histories: Sequence[StudyHistory]) -> list[str]:
    names = [history.description.name for history in histories]
    engines = [history.description.engine for history in histories]
    if len(set(names)) == len(names):
        return names
    if len(set(names)) == 1:
        return engines
    return [f"{name} by {engine}" for name, engine in zip(names, engines, strict=True)]


def _targets(bests: Sequence[Sequence[TrialRecord]], objective: Objective) -> list[float]:
    values = [[trial.best.value for trial in best if trial.best] for best in bests]
    finite = [[value for value in each if math.isfinite(value)] for each in values]
    tops = [each[0] for each in finite if each]
    if not tops:
        return []
    hard = max(tops, key=objective.sort_key)
    median = statistics.median_low([value for each in finite for value in each])
    if not objective.is_better(hard, median):
        return [hard]
    return [median, (median + hard) / 2, hard]


def _reached(history: StudyHistory, targets: Sequence[float]) -> tuple[Reached, ...]:
    objective = history.description.objective
    valued = {trial.number for trial in history.holding}
    costs: dict[float, Reached] = {}
    epochs, seconds = 0, 0.0
    for count, trial in enumerate(history.trials, start=1):
        if isinstance(trial, EndedTrial):
            epochs += epochs_of(trial)
            seconds += trial.result.seconds
        if trial.number not in valued or trial.best is None:
            continue
        for target in targets:
            if target not in costs and not objective.is_better(target, trial.best.value):
                costs[target] = Reached(target, count, epochs, seconds)
    return tuple(costs.get(target, Reached(target)) for target in targets)


def _notes(standings: Sequence[Standing]) -> list[str]:
    first, *others = standings
    described = first.history.description
    notes = []
    for other in others:
        description = other.history.description
        if description.data.digest != described.data.digest:
            notes.append(
                f"The data of {first.label!r} ({described.data.name}, digest "
                f"{described.data.digest[:12]}) and {other.label!r} ({description.data.name}, "
                f"digest {description.data.digest[:12]}) differ: so may what their values mean."
            )
        apart = [
            f"{name!r} is only in {one.label!r}"
            for one, two in ((first, other), (other, first))
            for name in one.history.description.space.names
            if name not in two.history.description.space
        ]
        if apart:
            notes.append(f"The spaces differ: {', '.join(apart)}.")
    devices = {
        str(trial.environment["device"]): None
        for standing in standings
        for trial in standing.history.trials
        if "device" in trial.environment
    }
    if len(devices) > 1:
        notes.append(f"Trials ran on {' and '.join(devices)}: their seconds don't compare.")
    return notes
