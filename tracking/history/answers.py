"""Says which of several studies, or engines, is better at equal budget, or that it can't be said.

There are two ways to know. Both give the difference with an interval:

- Each search was launched under several seeds. A search is a study without its name and its seed.
  The difference is that of the mean best values, each at equal budget.
- Each study has one seed, and was confirmed on the same test part. The difference is that of the
  confirmed values of the winners.

Otherwise the answer is that it can't be said: under another seed, the other one may be ahead.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from search_spaces.texts import counted, listed, number
from tracking.history.study_history import StudyHistory
from tracking.history.verdicts import read_confirmations
from tracking.records import EndedTrial, Objective, StudyDescription
from tracking.records.evaluation_records import Interval
from tracking.statistics.differences import of_intervals, of_means
from tracking.statistics.sentences import interval_text


@dataclass(frozen=True)
class Difference:
    """How much better one search or study is than another.

    Attributes:
        better: The one with the better value.
        other: The other one.
        gain: The difference of their values, at least 0, with its interval. If the interval has 0
            in it, the two can't be told apart.
    """

    better: str
    other: str
    gain: Interval

    @property
    def is_clear(self) -> bool:
        """Whether the interval is above 0."""
        return self.gain.low > 0


@dataclass(frozen=True)
class Answer:
    """Which of several studies or engines is better.

    Attributes:
        budget: The budget that all have spent, that of the smallest.
        unit: The budget's unit: ``"epochs"``, or ``"trials"`` if trials have no epochs.
        values: The best value of each study at this budget; None without one.
        over: What the differences are over: ``"seeds"``, ``"test part"``, or empty if there are
            none.
        differences: The best one compared with each other one.
        sentences: The answer in sentences.
    """

    budget: int
    unit: str
    values: tuple[float | None, ...]
    over: str
    differences: tuple[Difference, ...]
    sentences: tuple[str, ...]


def answer(histories: Sequence[StudyHistory], labels: Sequence[str]) -> Answer:
    """Returns which of several studies or engines is better at equal budget."""
    objective = histories[0].description.objective
    ended = [history.ended for history in histories if history.holding]
    # An objective function that only returns a value has no epochs.
    unit = "epochs" if all(any(map(epochs_of, trials)) for trials in ended) else "trials"
    costs = [sum(_cost(trial, unit) for trial in trials) for trials in ended]
    budget = min(costs, default=0)
    values = tuple(_best_within(history, budget, unit) for history in histories)
    at = f"At {counted(budget, unit.removesuffix('s'))} each, "
    groups = _groups([history.description for history in histories], labels)
    by_search = {
        label: [value for place in places if (value := values[place]) is not None]
        for label, places in groups.items()
    }
    known = {label: of_seeds for label, of_seeds in by_search.items() if of_seeds}
    missing = [label for label in groups if label not in known]
    differences: tuple[Difference, ...] = ()
    over = ""
    sentences = [f"There is no value by {listed(missing)}."] if missing else []
    if len(groups) == 1 and known:
        (of_seeds,) = known.values()
        lowest, highest = (number(each) for each in (min(of_seeds), max(of_seeds)))
        sentences.append(
            f"They are one search under {counted(len(of_seeds), 'seed')}: {_lower(at)}the best "
            f"{objective.metric} is {lowest} to {highest}. Compare it with another one."
        )
    elif len(known) < 2:
        sentences.append("So there is nothing to compare yet.")
    elif min(map(len, known.values())) > 1:
        over, differences = "seeds", _over_seeds(known, objective)
        sentences += _seed_sentences(known, differences, objective, at)
    else:
        differences = _on_test(histories, groups, objective)
        over = "test part" if differences else ""
        sentences += _test_sentences(differences, objective) or _unknown(known, objective, at)
    return Answer(budget, unit, values, over, differences, tuple(sentences))


def epochs_of(trial: EndedTrial) -> int:
    """Returns the epochs of a trial, without those of the trial that it continues."""
    trainings = len(trial.result.repeats) or 1
    return max(trial.result.epochs_in_all - trainings * trial.spec.initial_epoch, 0)


def _cost(trial: EndedTrial, unit: str) -> int:
    return epochs_of(trial) if unit == "epochs" else 1


def _best_within(history: StudyHistory, budget: int, unit: str) -> float | None:
    """Returns the best value among the first trials, by number, that fit into a budget."""
    spent, within = 0, set()
    for trial in history.ended:
        spent += _cost(trial, unit)
        if spent > budget:
            break
        within.add(trial.number)
    values = (trial.value for trial in history.holding if trial.number in within)
    return next((value for value in values if value is not None and math.isfinite(value)), None)


def _groups(
    descriptions: Sequence[StudyDescription], labels: Sequence[str]
) -> dict[str, list[int]]:
    """Returns the places of each search's studies, by the search's label."""
    places: dict[tuple[object, ...], list[int]] = {}
    for place, description in enumerate(descriptions):
        places.setdefault(_search(description), []).append(place)
    engines = [descriptions[of[0]].engine for of in places.values()]
    # If only engines differ, their names are the clearest labels.
    by_engine = len(set(engines)) == len(engines) > 1 and len({key[1:] for key in places}) == 1
    named = engines if by_engine else [listed(labels[i] for i in of) for of in places.values()]
    return dict(zip(named, places.values(), strict=True))


def _search(description: StudyDescription) -> tuple[object, ...]:
    """Returns all that tells a search from others: the engine first, without name and seed."""
    code = description.code
    # In a notebook the code is not recorded, so the name must tell builders apart.
    builder = (code.digest, code.variable, code.study_name) if code.digest else description.name
    weights = sorted((description.class_weight or {}).items())
    how = (description.epochs, description.batch_size, description.repeats, description.folds)
    data = (description.data.digest, description.cross_validation, tuple(weights))
    first = (description.initial_from, description.try_defaults)
    space = description.space.digest
    return (description.engine, description.pruner, builder, space, how, data, first)


def _over_seeds(
    known: Mapping[str, Sequence[float]], objective: Objective
) -> tuple[Difference, ...]:
    labels = list(known)
    keys = [[objective.sort_key(value) for value in known[label]] for label in labels]
    best = min(range(len(labels)), key=lambda place: statistics.fmean(keys[place]))
    # Low sort keys are the better ones, so the gain is the other one's minus the best one's.
    gains = [of_means(each, keys[best], math.comb(len(keys), 2)) for each in keys]
    return tuple(
        Difference(labels[best], label, gain)
        for place, (label, gain) in enumerate(zip(labels, gains, strict=True))
        if place != best and gain is not None
    )


def _seed_sentences(
    known: Mapping[str, Sequence[float]],
    differences: Sequence[Difference],
    objective: Objective,
    at: str,
) -> list[str]:
    over = f"over {listed(dict.fromkeys(map(len, known.values())))} seeds"
    sentences = [
        f"{at}{each.better} finds a better {objective.metric} than {each.other}, by "
        f"{interval_text(each.gain, nonzero=True)} {over}."
        for each in differences
        if each.is_clear
    ]
    sentences += [
        f"{at}{each.better} and {each.other} can't be told apart {over}: the difference of "
        f"{objective.metric} is {interval_text(each.gain, nonzero=True)}."
        for each in differences
        if not each.is_clear
    ]
    if len(differences) < len(known) - 1:
        sentences.append(f"{at}searches that find the same value under each seed can't be told.")
    return [
        *sentences,
        "That is about the search, on these validation samples. What a champion is worth on new "
        "data, confirm says.",
    ]


def _on_test(
    histories: Sequence[StudyHistory], groups: Mapping[str, Sequence[int]], objective: Objective
) -> tuple[Difference, ...]:
    """Returns the differences of confirmed values, if all studies have one on one test part."""
    confirmed = {label: _confirmed(histories[of[0]]) for label, of in groups.items()}
    digests = {history.description.data.digests.get("test", "") for history in histories}
    intervals = {label: each for label, each in confirmed.items() if each is not None}
    if len(intervals) < len(groups) or len(groups) < len(histories) or len(digests) > 1:
        return ()
    sign = 1 if objective.direction == "max" else -1
    best = max(intervals, key=lambda label: sign * intervals[label].value)
    pairs = math.comb(len(intervals), 2)
    differences = []
    for label, other in intervals.items():
        if label != best:
            one, two = (intervals[best], other) if sign > 0 else (other, intervals[best])
            differences.append(Difference(best, label, of_intervals(one, two, pairs)))
    return tuple(differences)


def _confirmed(history: StudyHistory) -> Interval | None:
    """Returns the value of a study's last confirmation on the test part, if it is up to date."""
    confirmations = read_confirmations(history)
    if not confirmations or history.best is None:
        return None
    last = confirmations[-1]
    return last.confirmed if last.reported == history.best.value else None


def _test_sentences(differences: Sequence[Difference], objective: Objective) -> list[str]:
    metric = objective.metric.removeprefix("val_")
    sentences = [
        f"On the test part, the winner of {each.better} is better than that of {each.other}: by "
        f"{interval_text(each.gain, nonzero=True)} of {metric}."
        if each.is_clear
        else f"The winners of {each.better} and {each.other} can't be told apart on the test part: "
        f"the difference of {metric} is {interval_text(each.gain, nonzero=True)}."
        for each in differences
    ]
    return [*sentences, "To tell the searches apart takes more seeds."] if sentences else []


def _unknown(known: Mapping[str, Sequence[float]], objective: Objective, at: str) -> list[str]:
    few = [label for label, values in known.items() if len(values) < 2]
    means = [f"{number(statistics.fmean(known[label]))} by {label}" for label in known]
    return [
        f"{at}the best {objective.metric} is {listed(means)}. That does not say which is better: "
        "another seed may turn it.",
        f"To tell, launch {listed(few)} under another --seed and --name, twice or more, and "
        "compare all of them; or confirm each, to compare the winners on the test part.",
    ]


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
