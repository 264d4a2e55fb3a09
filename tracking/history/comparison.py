"""Compares studies by best values and costs, and says which is better.

The cost of a study is its epochs and its seconds of training, summed over all trials:

- Pruned and infeasible trials count, too. Repeated trials count with all of their trainings.
- If a trial continues another trial, only its own epochs count.
- The sum does not depend on the number of workers.

There are two ways to say which study is better at equal budget. Both give a difference with an
interval:

- If each search was launched under several seeds, the searches' mean best values are compared. A
  search is a study's definition without the name and the seed, so several studies may be the same
  search.
- If each search has one seed, and all were confirmed on the same test part, the winners' confirmed
  values are compared.

Otherwise it is unknown which study is better, because under another seed, the other study may be
ahead.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from search_spaces.argument_checks import finite_number
from search_spaces.errors import ComparisonError
from search_spaces.texts import counted, listed, number, quoted
from tracking.history.study_history import StudyHistory
from tracking.history.verdicts import valid_confirmation
from tracking.records import EndedTrial, Objective, StudyDescription, TrialRecord
from tracking.records.evaluation_records import Interval
from tracking.statistics.interval_texts import interval_text
from tracking.statistics.intervals import difference_of_intervals, difference_of_means


@dataclass(frozen=True)
class Reached:
    """The cost of reaching a target: the cost of all trials up to the first one that reaches it.

    The three costs are None if no trial reaches the target.

    Attributes:
        target: The value of the objective to reach.
        trials: The number of trials up to the first one that reaches the target.
        epochs: The sum of the epochs of these trials.
        seconds: The sum of the seconds that these trials trained.
    """

    target: float
    trials: int | None = None
    epochs: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Standing:
    """A study in a comparison.

    Attributes:
        history: The study.
        best: The best trial, or None if no trial has a value.
        epochs: The epochs of all trials.
        seconds: The seconds of training of all trials.
        reached: The cost of reaching each target.
    """

    history: StudyHistory
    best: EndedTrial | None
    epochs: int
    seconds: float
    reached: tuple[Reached, ...]

    @property
    def label(self) -> str:
        """The study's name."""
        return self.history.description.name


@dataclass(frozen=True)
class Comparison:
    """Studies side by side.

    Attributes:
        objective: The objective of all studies.
        standings: The studies, in the order in which they were given.
        targets: The values to reach, the easiest first.
        notes: Sentences that warn of differences between the studies.
        answer: Which study is better at equal budget.
    """

    objective: Objective
    standings: tuple[Standing, ...]
    targets: tuple[float, ...]
    notes: tuple[str, ...]
    answer: Answer


def compare(histories: Sequence[StudyHistory], reach: Sequence[float] = ()) -> Comparison:
    """Compares studies.

    Args:
        histories: Two or more studies.
        reach: Values of the objective to reach. By default there are three: the worst of the
            studies' best values, which all studies reach; the median of all trials' values; and the
            middle between these two.

    Raises:
        ComparisonError: If there are fewer than two histories; if one is given twice; if the
            objectives or directions differ; or if a value to reach is not finite.
    """
    _check(histories, reach)
    objective = histories[0].description.objective
    targets = set(reach) or _targets([history.holding for history in histories], objective)
    targets = sorted(targets, key=objective.sort_key, reverse=True)
    standings = tuple(
        Standing(
            history=history,
            best=history.best,
            epochs=sum(trial.result.epochs_in_all for trial in history.ended),
            seconds=math.fsum(trial.result.seconds for trial in history.ended),
            reached=_reached(history, targets),
        )
        for history in histories
    )
    return Comparison(
        objective=objective,
        standings=standings,
        targets=tuple(targets),
        notes=tuple(_notes(standings)),
        answer=answer(histories),
    )


def _check(histories: Sequence[StudyHistory], reach: Sequence[float]) -> None:
    names = [history.description.name for history in histories]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ComparisonError(f"The study {twice!r} is given twice", hint="Name another study.")
    if len(names) < 2:
        raise ComparisonError(
            f"Comparing takes two studies or more. Received: {quoted(names) or 'none'}."
        )
    objectives = [history.description.objective for history in histories]
    if len(set(objectives)) > 1:
        pairs = "; ".join(
            f"{name!r}: {objective.direction} {objective.metric}"
            for name, objective in zip(names, objectives, strict=True)
        )
        raise ComparisonError(
            "Studies with different objectives can't be compared by value. Received: "
            f"{pairs}. Compare studies that optimize the same metric in the same direction."
        )
    for value in reach:
        finite_number("A value to reach", value, ComparisonError)


def _targets(best_first: Sequence[Sequence[TrialRecord]], objective: Objective) -> list[float]:
    finite = [
        [trial.best.value for trial in trials if trial.best and math.isfinite(trial.best.value)]
        for trials in best_first
    ]
    best = [values[0] for values in finite if values]
    if not best:
        return []
    worst = max(best, key=objective.sort_key)
    median = statistics.median_low([value for values in finite for value in values])
    return [median, (median + worst) / 2, worst] if objective.is_better(worst, median) else [worst]


def _reached(history: StudyHistory, targets: Sequence[float]) -> tuple[Reached, ...]:
    objective = history.description.objective
    numbers = {trial.number for trial in history.holding}
    costs: dict[float, Reached] = {}
    epochs, seconds = 0, 0.0
    for count, trial in enumerate(history.trials, start=1):
        if isinstance(trial, EndedTrial):
            epochs += trial.result.epochs_in_all
            seconds += trial.result.seconds
        if trial.number not in numbers or trial.best is None:
            continue
        for target in targets:
            if target not in costs and not objective.is_better(target, trial.best.value):
                costs[target] = Reached(target, count, epochs, seconds)
    return tuple(costs.get(target, Reached(target)) for target in targets)


def _notes(standings: Sequence[Standing]) -> list[str]:
    first, *others = standings
    reference = first.history.description
    notes = []
    # Several studies may share their data or space. Then one note is enough for all of them.
    digests = {reference.data.digest, reference.space.digest}
    for other in others:
        description = other.history.description
        if description.data.digest not in digests:
            notes.append(
                f"The data of {first.label!r} ({reference.data.name}, digest "
                f"{reference.data.digest[:12]}) and {other.label!r} ({description.data.name}, "
                f"digest {description.data.digest[:12]}) differ, so values may not be comparable."
            )
        if description.space.digest not in digests:
            notes += _space_notes(first, other)
        digests |= {description.data.digest, description.space.digest}
        pairs = zip(first.history.trials, other.history.trials, strict=False)
        alike = len(
            [*itertools.takewhile(lambda two: two[0].spec.values == two[1].spec.values, pairs)]
        )
        if alike > 1:
            notes.append(
                f"The first {alike} trials of {first.label!r} and {other.label!r} have the same "
                "hyperparameters."
            )
    devices = {
        str(trial.environment["device"]): None
        for standing in standings
        for trial in standing.history.trials
        if "device" in trial.environment
    }
    if len(devices) > 1:
        notes.append(f"Trials ran on {' and '.join(devices)}: their seconds are not comparable.")
    return notes


def _space_notes(first: Standing, other: Standing) -> list[str]:
    spaces = {each.label: each.history.description.space for each in (first, other)}
    return [
        f"The spaces differ: only {label!r} has {quoted(names)}."
        for label, others in zip(spaces, [*spaces.values()][::-1], strict=True)
        if (names := [name for name in spaces[label].names if name not in others])
    ]


@dataclass(frozen=True)
class Difference:
    """How much better one search or study is than another.

    Attributes:
        better: The label of the search or study with the better value.
        other: The label of the other search or study.
        gain: The difference of the two values, at least 0, with an interval. If the interval
            contains 0, the two can't be told apart.
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
        text = interval_text(self.gain, nonzero=True).removesuffix(")")
        return f"{text} at {100 * self.gain.level:.3g} %)"


@dataclass(frozen=True)
class Answer:
    """Which of several studies is better.

    Attributes:
        budget: The cost of the cheapest study. All studies are compared at this budget.
        unit: The budget's unit: ``"epochs"``, or ``"trials"`` if trials have no epochs.
        values: The best value that each study reached within this budget, or None.
        over: How the differences were computed: over ``"seeds"``, or on the ``"test part"``. Empty
            if there are no differences.
        differences: The best search or study compared with each of the others.
        sentences: The answer in sentences.
    """

    budget: int
    unit: str
    values: tuple[float | None, ...]
    over: str
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
    over, data = "", {history.description.data.digest for history in histories}
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
    elif len(data) == 1 and min(map(len, bests.values())) > 1:
        over, differences = "seeds", _over_seeds(bests, objective)
        sentences += _seed_sentences(bests, differences, objective, at)
    elif differences := _on_test(histories, groups, objective):
        over, sentences = "test part", sentences + _test_sentences(differences, objective)
    elif len(data) == 1:
        sentences += _unknown(bests, objective, at)
    else:
        sentences.append(
            f"{at}{_best_values(bests, objective)}. Their data differ, so that does not say which "
            "is better: launch both on the same data."
        )
    return Answer(budget, unit, values, over, differences, tuple(sentences))


def _cost(trial: EndedTrial, unit: str) -> int:
    return trial.result.epochs_in_all if unit == "epochs" else 1


def _best_within(history: StudyHistory, budget: int, unit: str) -> float | None:
    """Returns the best value among the first trials, whose costs together are within a budget."""
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
        # The searches differ in the engine alone, which is a shorter label than several names.
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
        f"{at}{each.better} finds a better {objective.metric} than {each.other}, by "
        f"{each.gain_text} {over}."
        if each.is_clear
        else f"{at}{each.better} and {each.other} can't be told apart {over}: {each.better} is "
        f"ahead by {each.gain_text} of {objective.metric}."
        for each in sorted(differences, key=lambda difference: not difference.is_clear)
    ]
    if len(differences) < len(bests) - 1:
        sentences.append(
            f"{at}other searches found the same best value under each seed: their difference has "
            "no interval."
        )
    return [
        *sentences,
        "That is about the search, on these validation samples. `kerastudy confirm` says what a "
        "champion is worth on new data.",
    ]


def _on_test(
    histories: Sequence[StudyHistory], groups: Mapping[str, Sequence[int]], objective: Objective
) -> tuple[Difference, ...]:
    """Compares the searches' winners by their confirmed values on the test part.

    Returns the difference between the best winner and each other winner. Returns no differences if
    a winner is not confirmed, test parts differ, or a search was launched under several seeds.
    """
    digests = {history.description.data.digests.get("test", "") for history in histories}
    intervals: dict[str, Interval] = {}
    for label, places in groups.items():
        confirmation = valid_confirmation(histories[places[0]])
        if confirmation is not None and confirmation.confirmed is not None:
            intervals[label] = confirmation.confirmed
    if len(intervals) < len(histories) or len(digests) > 1:
        return ()
    best = min(intervals, key=lambda label: objective.sort_key(intervals[label].value))
    pairs = math.comb(len(intervals), 2)
    differences = []
    for label, other in intervals.items():
        if label != best:
            high, low = intervals[best], other
            if objective.direction == "min":
                high, low = low, high
            differences.append(Difference(best, label, difference_of_intervals(high, low, pairs)))
    return tuple(differences)


def _test_sentences(differences: Sequence[Difference], objective: Objective) -> list[str]:
    metric = objective.metric.removeprefix("val_")
    sentences = [
        f"On the test part, the winner of {each.better} is better than that of {each.other}: by "
        f"{each.gain_text} of {metric}."
        if each.is_clear
        else f"The winners of {each.better} and {each.other} can't be told apart on the test part: "
        f"that of {each.better} is ahead by {each.gain_text} of {metric}."
        for each in differences
    ]
    return [*sentences, "To tell the searches apart takes more seeds."]


def _unknown(bests: Mapping[str, Sequence[float]], objective: Objective, at: str) -> list[str]:
    few = [label for label, values in bests.items() if len(values) < 2]
    return [
        f"{at}{_best_values(bests, objective)}. That does not say which is better: under another "
        "seed, another one may be ahead.",
        f"To tell, launch {listed(few)} under another --seed and --name, twice or more, and "
        "compare all of them; or confirm each, to compare the winners on the test part.",
    ]


def _best_values(bests: Mapping[str, Sequence[float]], objective: Objective) -> str:
    means = [f"{number(statistics.fmean(values))} by {label}" for label, values in bests.items()]
    return f"the best {objective.metric} is {listed(means)}"
