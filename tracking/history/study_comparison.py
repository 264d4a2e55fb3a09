"""Compares studies by best values and costs, and says which is better.

The cost of a study is its epochs and its seconds of training, summed over all trials. Pruned and
infeasible trials count, too, and repeated trials with all of their trainings. The sum does not
depend on the number of workers.

A search is a study's definition without the name and the seed, so several studies may be the same
search. To find out which search is better at equal budget, launch each search under several seeds.
Then the searches' mean best values are compared, and the difference has an interval. With only one
seed for each search, the answer is unknown: under another seed, another search may be ahead.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from search_spaces.errors import ComparisonError
from search_spaces.texts import counted, listed, number
from tracking.history.study_history import StudyHistory
from tracking.records import EndedTrial, Interval, Objective, StudyDescription
from tracking.statistics import difference_of_means


@dataclass(frozen=True)
class Standing:
    """A study in a comparison.

    Attributes:
        history: The study.
        best: The best trial, or None if no trial has a value.
        epochs: The epochs of all trials.
        seconds: The seconds of training of all trials.
    """

    history: StudyHistory
    best: EndedTrial | None
    epochs: int
    seconds: float


@dataclass(frozen=True)
class Comparison:
    """Studies side by side.

    Attributes:
        objective: The objective of all studies.
        standings: The studies, in the order in which they were given.
        answer: Which study is better at equal budget.
    """

    objective: Objective
    standings: tuple[Standing, ...]
    answer: Answer


def compare(histories: Sequence[StudyHistory]) -> Comparison:
    """Compares two or more studies.

    Raises:
        ComparisonError: If there are fewer than two histories, if one is given twice, or if the
            objectives or directions differ.
    """
    _check(histories)
    standings = tuple(
        Standing(
            history=history,
            best=history.best,
            epochs=sum(trial.result.epochs_in_all for trial in history.ended),
            seconds=math.fsum(trial.result.seconds for trial in history.ended),
        )
        for history in histories
    )
    return Comparison(
        objective=histories[0].description.objective,
        standings=standings,
        answer=answer(histories),
    )


def _check(histories: Sequence[StudyHistory]) -> None:
    names = [history.description.name for history in histories]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ComparisonError(f"The study {twice!r} is given twice", hint="Name another study.")
    if len(names) < 2:
        raise ComparisonError("Comparing takes two studies or more", received=names)
    objectives = [history.description.objective for history in histories]
    if len(set(objectives)) > 1:
        texts = [f"{objective.direction} {objective.metric}" for objective in objectives]
        raise ComparisonError(
            "Studies with different objectives can't be compared by value",
            received=dict(zip(names, texts, strict=True)),
            hint="Compare studies that optimize the same metric in the same direction.",
        )


@dataclass(frozen=True)
class Difference:
    """How much better one search is than another.

    Attributes:
        better: The label of the search with the better values.
        other: The label of the other search.
        gain: The difference of their mean best values, at least 0, with an interval. If the
            interval contains 0, the two can't be told apart.
    """

    better: str
    other: str
    gain: Interval

    @property
    def is_clear(self) -> bool:
        """Whether the interval is above 0."""
        return self.gain.low > 0

    @property
    def gain_text(self) -> str:
        """The difference with its interval, e.g. "0.012 (0.004 to 0.020 at 95 %)"."""
        return self.gain.text(level=True, nonzero=True)


@dataclass(frozen=True)
class Answer:
    """Which of several studies is better.

    Attributes:
        budget: The cost of the cheapest study. All studies are compared at this budget.
        unit: The budget's unit: ``"epochs"``, or ``"trials"`` if trials have no epochs.
        values: The best value that each study reached within this budget, or None.
        differences: The best search compared with each of the others, over seeds.
        sentences: The answer in sentences.
    """

    budget: int
    unit: str
    values: tuple[float | None, ...]
    differences: tuple[Difference, ...]
    sentences: tuple[str, ...]


def answer(histories: Sequence[StudyHistory]) -> Answer:
    """Returns which of several studies is better at equal budget."""
    objective = histories[0].description.objective
    trial_lists = [history.ended for history in histories if history.holding]
    # The trials of an objective function that only returns a value have no epochs, so trials are
    # counted instead.
    unit = (
        "epochs"
        if all(any(t.result.epochs_in_all for t in trials) for trials in trial_lists)
        else "trials"
    )
    costs = [sum(_cost(trial, unit) for trial in trials) for trials in trial_lists]
    budget = min(costs, default=0)
    values = tuple(_best_within(history, budget, unit) for history in histories)
    at = f"At {counted(budget, unit.removesuffix('s'))} each, "
    groups = _groups([history.description for history in histories])
    by_search = {
        label: [value for place in places if (value := values[place]) is not None]
        for label, places in groups.items()
    }
    bests = {label: by_seed for label, by_seed in by_search.items() if by_seed}
    missing = [label for label in groups if label not in bests]
    differences: tuple[Difference, ...] = ()
    first, *others = (history.description for history in histories)
    unlike = [other.name for other in others if other.data.digest != first.data.digest]
    later = any(histories[place].holding for label in missing for place in groups[label])
    within = f" within {counted(budget, unit.removesuffix('s'))}" if later else ""
    sentences = [f"There is no value by {listed(missing)}{within}."] if missing else []
    if len(groups) == 1 and bests:
        (by_seed,) = bests.values()
        sentences.append(
            f"They are one search under {counted(len(by_seed), 'seed')}: a{at[1:]}the best "
            f"{objective.metric} is {number(min(by_seed))} to {number(max(by_seed))}. Compare it "
            "with another search."
        )
    elif len(bests) < 2:
        sentences.append("So there is nothing to compare yet.")
    elif unlike:
        sentences.append(
            f"{at}{_best_values(bests, objective)}. The data of {listed(unlike)} differ from those "
            f"of {first.name}, so these values do not say which is better: launch all on the same "
            "data."
        )
    elif min(map(len, bests.values())) > 1:
        differences = _over_seeds(bests, objective)
        sentences += _seed_sentences(bests, differences, objective, at)
    else:
        sentences += _unknown(bests, objective, at)
    outcomes = [[(t.params, t.value, t.epoch) for t in history.ended] for history in histories]
    if outcomes[0] and not unlike and all(outcome == outcomes[0] for outcome in outcomes):
        sentences = [f"{listed(h.description.name for h in histories)} have the same trials."]
    return Answer(budget, unit, values, differences, tuple(sentences))


def _cost(trial: EndedTrial, unit: str) -> int:
    return trial.result.epochs_in_all if unit == "epochs" else 1


def _best_within(history: StudyHistory, budget: int, unit: str) -> float | None:
    """Returns the best value among as many of the first trials as a budget pays for."""
    spent = itertools.accumulate(_cost(trial, unit) for trial in history.ended)
    within = {t.number for t, cost in zip(history.ended, spent, strict=True) if cost <= budget}
    values = (trial.value for trial in history.holding if trial.number in within)
    return next((value for value in values if value is not None and math.isfinite(value)), None)


def _groups(descriptions: Sequence[StudyDescription]) -> dict[str, list[int]]:
    """Groups studies by search. Returns the indexes of the studies, by the label of the search.

    Of studies with the same search and the same seed, only the first counts.
    """
    by_seed: dict[tuple[object, ...], dict[int, int]] = {}
    for place, description in enumerate(descriptions):
        by_seed.setdefault(_search(description), {}).setdefault(description.seed, place)
    groups = [list(places.values()) for places in by_seed.values()]
    labels = [listed(descriptions[place].name for place in places) for places in groups]
    if len({key[1:] for key in by_seed}) == 1 < len(groups) < sum(map(len, groups)):
        # If the searches differ only in the engine, the engine is the shorter label.
        labels = [str(engine) for engine, *_ in by_seed]
    return dict(zip(labels, groups, strict=True))


def _search(description: StudyDescription) -> tuple[object, ...]:
    """Returns the settings that define a search: a study's settings without name and seed.

    The first item is the engine.
    """
    code = description.code
    # In a notebook the code is not recorded, so only the name identifies the builder.
    builder = (code.digest, code.variable, code.study_name) if code.digest else description.name
    weights = sorted((description.class_weight or {}).items())
    how = (description.epochs, description.batch_size, description.repeats, description.folds)
    data = (description.data.digest, description.cross_validation, tuple(weights))
    first = (description.initial_from, description.try_defaults)
    space = description.space.digest
    return (description.engine, description.pruner, builder, space, how, data, first)


def _over_seeds(
    bests: Mapping[str, Sequence[float]], objective: Objective
) -> tuple[Difference, ...]:
    keys = {label: [*map(objective.sort_key, values)] for label, values in bests.items()}
    best = min(keys, key=lambda label: statistics.fmean(keys[label]))
    pairs = math.comb(len(keys), 2)
    # Lower sort keys are better, so the gain is the other search's mean minus the best search's.
    gains = {
        label: difference_of_means(keys[label], keys[best], pairs)
        for label in keys
        if label != best
    }
    return tuple(Difference(best, label, gain) for label, gain in gains.items() if gain is not None)


def _seed_sentences(
    bests: Mapping[str, Sequence[float]],
    differences: Sequence[Difference],
    objective: Objective,
    at: str,
) -> list[str]:
    over = f"over {listed(dict.fromkeys(map(len, bests.values())))} seeds"
    sentences = [
        f"{at}{pair.better} finds a better {objective.metric} than {pair.other}, by "
        f"{pair.gain_text} {over}."
        if pair.is_clear
        else f"{at}{pair.better} and {pair.other} can't be told apart {over}: {pair.better} is "
        f"ahead by {pair.gain_text} of {objective.metric}."
        for pair in sorted(differences, key=lambda difference: not difference.is_clear)
    ]
    if len(differences) < len(bests) - 1:
        sentences.append(
            f"{at}other searches found the same best value under each seed: their difference has "
            "no interval."
        )
    return [
        *sentences,
        "This answer is about the search, on these validation samples. `kerastudy confirm` says "
        "what a champion is worth on new data.",
    ]


def _unknown(bests: Mapping[str, Sequence[float]], objective: Objective, at: str) -> list[str]:
    few = [label for label, values in bests.items() if len(values) < 2]
    return [
        f"{at}{_best_values(bests, objective)}. These values do not say which is better: under "
        "another seed, another search may be ahead.",
        f"To tell, launch {listed(few)} under another --seed and --name, twice or more, and "
        "compare all of them.",
    ]


def _best_values(bests: Mapping[str, Sequence[float]], objective: Objective) -> str:
    means = [f"{number(statistics.fmean(values))} by {label}" for label, values in bests.items()]
    return f"the best {objective.metric} is {listed(means)}"
