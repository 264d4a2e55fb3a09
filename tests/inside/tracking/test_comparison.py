"""Studies side by side: how good, how soon, and where in the space."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest
from handmade import ENVIRONMENT, LOSS, losses, make_spec, record_trial, trial_record
from scripted import describe

import kerastudy as ks
from search_spaces import (
    Choice,
    ComparisonError,
    Fixed,
    Float,
    Int,
    Parameter,
    SearchSpace,
    TrackingError,
)
from tracking.history import Comparison, Reached, StudyHistory, compare, overlap_of, read_study
from tracking.journal import Journal
from tracking.records import DataDescription, Objective, Repeat, TrialRecord
from tracking.store import Store

SPACE = SearchSpace(ks.Float("rate", 1e-4, 1e-1, scale="log"), ks.Choice("kind", ["a", "b", "c"]))


def history_of(
    store: Store, trials: Sequence[TrialRecord], name: str = "one", **settings: Any
) -> StudyHistory:
    """A study with these trials, as read back; nothing is written."""
    description = describe(**{"name": name, "space": SPACE, **settings})
    engines, folder = (description.engine,), store.root / description.name
    return StudyHistory(store, folder, description, engines, 1, "FINISHED", tuple(trials))


def trials_of(*values: float | None, **values_of_all: Any) -> list[TrialRecord]:
    """Trials with these losses after one epoch of one second each; None: infeasible."""
    made = []
    for number, value in enumerate(values):
        trial = trial_record(number, value, state="complete" if value is not None else "infeasible")
        assert trial.result is not None
        made.append(
            dataclasses.replace(
                trial,
                spec=make_spec(number, values=values_of_all or {"rate": 0.01, "kind": "a"}),
                result=dataclasses.replace(trial.result, seconds=1.0),
            )
        )
    return made


def best_values(comparison: Comparison) -> list[float | None]:
    return [each.best.best.value if each.best and each.best.best else None
            for each in comparison.standings]  # fmt: skip


# in a real store


@pytest.fixture(scope="module")
def recorded(shared_store: Store) -> Store:
    """A study by two engines, and another study."""
    by_engine = {
        "optuna:tpe": ([0.9, 0.3, 0.5], [1e-3, 1e-2, 2e-3]),
        "optuna:random": ([0.8, 0.7], [1e-4, 1e-3]),
    }
    for engine, (values, rates) in by_engine.items():
        described = describe(engine=engine, space=SPACE)
        journal = Journal.begin(shared_store.root / "scripted", described, ENVIRONMENT)
        for number, (value, rate) in enumerate(zip(values, rates, strict=True)):
            spec = make_spec(number, values={"rate": rate, "kind": "a"})
            record_trial(journal, spec, losses(1.0, value, value + 0.1))
    described = describe(name="other", space=SPACE, engine="optuna:tpe")
    journal = Journal.begin(shared_store.root / "other", described, ENVIRONMENT)
    first = make_spec(0, values={"rate": 0.1, "kind": "b"}, epochs=2)
    record_trial(journal, first, losses(0.9, 0.6), state="pruned")
    more = {"goes_on_from": 0, "initial_epoch": 2, "epochs": 5}
    record_trial(
        journal, make_spec(1, values=first.values, **more), losses(0.9, 0.6, 0.5, 0.2, 0.4)
    )
    record_trial(journal, make_spec(2, values=first.values), losses(0.7), state="infeasible")
    record_trial(journal, make_spec(3, values=first.values), losses(0.1), state="running")
    return shared_store


def test_engines_of_one_study(recorded: Store) -> None:
    engines = ["optuna:tpe", "optuna:random"]
    comparison = compare([read_study(recorded, "scripted", engine) for engine in engines])
    assert comparison.objective == LOSS
    tpe, random = comparison.standings
    assert [tpe.label, random.label] == engines
    assert best_values(comparison) == [0.3, 0.7]
    assert tpe.best is not None
    assert (tpe.best.number, tpe.best.best and tpe.best.best.epoch) == (1, 2)
    assert (tpe.epochs, tpe.seconds) == (9, 4.5)
    assert (random.epochs, random.seconds) == (6, 3.0)
    assert comparison.notes == ()


def test_studies(recorded: Store) -> None:
    histories = [read_study(recorded, "scripted", "optuna:tpe"), read_study(recorded, "other")]
    comparison = compare(histories, reach=[0.6, 0.25])
    assert [each.label for each in comparison.standings] == ["scripted", "other"]
    assert comparison.targets == (0.6, 0.25)
    one, other = comparison.standings
    assert one.reached == (Reached(0.6, 2, 6, 3.0), Reached(0.25))
    # What went on from two epochs trained three; a pruned trial's value counts.
    assert other.reached == (Reached(0.6, 1, 2, 1.5), Reached(0.25, 2, 5, 3.0))
    # The infeasible trial's epoch was trained too; the running one is not known yet.
    assert (other.epochs, other.seconds) == (6, 4.5)


def test_a_repeated_trial_costs_all_of_its_trainings(new_store: Store) -> None:
    (trial,) = trials_of(0.5)
    assert trial.result is not None and trial.best is not None
    repeats = [Repeat(seed, "run", 4 + seed, trial.best, "", 2.0) for seed in range(3)]
    result = dataclasses.replace(trial.result, epochs=6, seconds=6.0, repeats=repeats)
    repeated = history_of(new_store, [dataclasses.replace(trial, result=result)])
    standing, _ = compare([repeated, history_of(new_store, [], name="two")], [0.5]).standings
    assert (standing.epochs, standing.seconds) == (15, 6.0)
    assert standing.reached == (Reached(0.5, 1, 15, 6.0),)


# how soon


@pytest.mark.parametrize("direction", ["min", "max"])
def test_usual_targets_are_the_worst_best_and_easier_ones(new_store: Store, direction: Any) -> None:
    sign = 1 if direction == "min" else -1
    settings = {"objective": Objective("val_loss", direction)}
    one = history_of(new_store, trials_of(*(sign * v for v in (5, 4, 3, 1))), **settings)
    two = history_of(new_store, trials_of(*(sign * v for v in (5, 4, 2))), name="two", **settings)
    comparison = compare([one, two])
    median, middle, hard = comparison.targets
    assert hard == sign * 2
    assert median == sign * 4
    assert middle == sign * 3
    for standing in comparison.standings:
        counts = [reached.trials for reached in standing.reached]
        assert None not in counts
        assert counts == sorted(counts, key=lambda count: count or 0)
    assert [each.trials for each in comparison.standings[0].reached] == [2, 3, 4]
    assert [each.trials for each in comparison.standings[1].reached] == [2, 3, 3]


def test_a_target_is_reached_by_a_value_as_good(new_store: Store) -> None:
    histories = [history_of(new_store, trials_of(0.5, 0.25), name=name) for name in "ab"]
    comparison = compare(histories, reach=[0.25, 0.5, 0.25])
    assert comparison.targets == (0.5, 0.25)
    assert [each.trials for each in comparison.standings[0].reached] == [1, 2]


def test_without_values_there_is_nothing_to_reach(new_store: Store) -> None:
    histories = [
        history_of(new_store, [], name="empty"),
        history_of(new_store, trials_of(None, None), name="failed"),
    ]
    comparison = compare(histories)
    assert comparison.targets == ()
    assert best_values(comparison) == [None, None]
    assert (comparison.top, comparison.overlap, comparison.parameters) == (0, None, ())
    reached = compare([*histories, history_of(new_store, trials_of(0.5))]).standings[0].reached
    assert reached == (Reached(0.5),)


# where


def test_regions_are_those_of_the_best(new_store: Store) -> None:
    def study(name: str, rates: list[float], kinds: str) -> StudyHistory:
        trials = [
            dataclasses.replace(trial, spec=make_spec(i, values={"rate": rate, "kind": kind}))
            for i, (trial, rate, kind) in enumerate(
                zip(trials_of(0.1, 0.2, 0.3, 9.0), rates, kinds, strict=True)
            )
        ]
        return history_of(new_store, trials, name)

    comparison = compare(
        [
            study("one", [1e-3, 1e-1, 1e-2, 1e-4], "abac"),
            study("two", [1e-4, 1e-2, 1e-3, 1e-1], "bcba"),
        ],
        top=3,
    )
    rate, kind = comparison.parameters
    assert rate.regions == ((1e-3, 1e-1), (1e-4, 1e-2))
    # One order of magnitude of three.
    assert rate.overlap == pytest.approx(1 / 3)
    assert kind.regions == (("a", "b"), ("b", "c"))
    assert kind.overlap == pytest.approx(1 / 3)
    assert comparison.overlap == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("counts", "top", "taken"),
    [
        ((60, 200), None, 10),
        ((30, 200), None, 6),
        ((7, 200), None, 3),
        ((2, 200), None, 2),
        ((0, 200), None, 10),
        ((30, 40), 15, 15),
        ((30, 9), 15, 9),
    ],
)
def test_as_many_are_taken_of_each(
    new_store: Store, counts: tuple[int, int], top: int | None, taken: int
) -> None:
    histories = [
        history_of(new_store, trials_of(*([0.5] * count)), name=f"study {index}")
        for index, count in enumerate(counts)
    ]
    assert compare(histories, top=top).top == taken


LOG = Float("x", 1e-4, 1e-1, scale="log")
INT = Int("x", 1, 10)


@pytest.mark.parametrize(
    ("parameters", "values", "overlap"),
    [
        ([LOG, LOG], [[1e-4, 1e-3], [1e-2, 1e-1]], 0.0),
        ([LOG, LOG], [[1e-4, 1e-2], [1e-2, 1e-4]], 1.0),
        ([LOG, LOG], [[1e-4, 1e-2], [1e-3, 1e-2]], 1 / 2),
        ([LOG, LOG], [[1e-3], [1e-3]], 1.0),
        ([LOG, LOG], [[1e-3], [1e-2]], 0.0),
        ([LOG, LOG], [[1e-4, 1e-2], [1e-3]], 0.0),
        # The measure does not hang on what is declared around.
        ([LOG, Float("x", 1e-6, 1.0, scale="log")], [[1e-4, 1e-2], [1e-3, 1e-2]], 1 / 2),
        ([LOG, Float("x", 0.0, 1.0)], [[1e-3, 1e-1], [0.0, 1e-1]], 0.99),
        ([LOG, Fixed("x", 0.0)], [[1e-3, 1e-1], [0.0]], 0.0),
        ([Float("x", 0, 4), Float("x", 0, 4)], [[0.0, 2.0], [1.0, 4.0]], 1 / 4),
        ([Float("x", 0, 4, step=1.0)] * 2, [[0.0, 2.0], [1.0, 4.0]], 2 / 5),
        ([INT, INT], [[3], [3]], 1.0),
        ([INT, INT], [[3], [4]], 0.0),
        ([INT, INT], [[1, 3], [2, 5]], 2 / 5),
        ([INT, Fixed("x", 2)], [[1, 3], [2]], 1 / 3),
        ([Int("x", 1, 64, scale="log", step=2)] * 2, [[2, 8], [4, 64]], 2 / 6),
        ([INT, INT, INT], [[1], [1], [2]], 1 / 3),
        ([INT, INT, INT], [[1], [1], []], 1.0),
        ([INT, INT], [[1], []], None),
        ([INT, Choice("x", ["a"])], [[1], ["a"]], None),
        ([Choice("x", [1, True, None])] * 2, [[1, None], [True, None]], 1 / 3),
        ([Choice("x", [1, 2]), Choice("x", [3, 2])], [[2], [2]], 1.0),
        ([Choice("x", ["a", "b"]), Fixed("x", "a")], [["a", "b"], ["a"]], 1 / 2),
        ([Fixed("x", 1), Fixed("x", 1)], [[1], [1]], None),
        ([Fixed("x", 1), Fixed("x", 2)], [[1], [2]], 0.0),
    ],
)
def test_overlap(
    parameters: list[Parameter], values: list[list[Any]], overlap: float | None
) -> None:
    found = overlap_of(parameters, values).overlap
    assert found == (None if overlap is None else pytest.approx(overlap, abs=1e-12))


def test_a_study_without_trials_leaves_the_others_comparable(new_store: Store) -> None:
    histories = [
        history_of(new_store, trials_of(0.5, 0.6), name="one"),
        history_of(new_store, trials_of(0.5, 0.6), name="two"),
        history_of(new_store, [], name="none yet"),
    ]
    assert compare(histories).overlap == 1.0


# what can't be compared, and what to keep in mind


@pytest.mark.parametrize(
    ("second", "words"),
    [
        ({"objective": Objective("val_accuracy", "max")}, ["val_accuracy", "min val_loss"]),
        ({"objective": Objective("val_loss", "max")}, ["max val_loss", "min val_loss"]),
        ({"name": "one"}, ["'one'", "optuna:tpe", "twice"]),
    ],
)
def test_refusals(new_store: Store, second: dict[str, Any], words: list[str]) -> None:
    histories = [
        history_of(new_store, trials_of(0.5)),
        history_of(new_store, trials_of(0.5), **{"name": "two", **second}),
    ]
    with pytest.raises(ComparisonError) as raised:
        compare(histories)
    assert isinstance(raised.value, TrackingError)
    for word in words:
        assert word in str(raised.value)


def test_one_alone_is_not_compared(new_store: Store) -> None:
    with pytest.raises(ComparisonError, match="'one' by optuna:tpe"):
        compare([history_of(new_store, trials_of(0.5))])
    with pytest.raises(ComparisonError, match="two"):
        compare([])


@pytest.mark.parametrize(
    ("options", "word"), [({"reach": [float("nan")]}, "nan"), ({"top": 0}, "0")]
)
def test_wrong_options_are_quoted(new_store: Store, options: dict[str, Any], word: str) -> None:
    histories = [history_of(new_store, trials_of(0.5), name=name) for name in "ab"]
    with pytest.raises(ComparisonError, match=word):
        compare(histories, **options)


def test_other_data_and_other_spaces_are_noted(new_store: Store) -> None:
    data = DataDescription("elsewhere", "memory", "e" * 64, {}, {}, {})
    space = SPACE.with_parameters(Int("units", 1, 9))
    comparison = compare(
        [
            history_of(new_store, trials_of(0.5)),
            history_of(new_store, trials_of(0.5), name="two", data=data, space=space),
        ]
    )
    other_data, other_space = comparison.notes
    assert "made up" in other_data
    assert "elsewhere" in other_data
    assert "e" * 12 in other_data
    assert "'units' is only in 'two'" in other_space
    assert [each.name for each in comparison.parameters] == ["rate", "kind"]


def test_other_devices_are_noted(new_store: Store) -> None:
    histories = [
        history_of(
            new_store,
            [dataclasses.replace(each, environment={"device": name}) for each in trials_of(0.5)],
            name=name,
        )
        for name in ("a processor", "an accelerator")
    ]
    (note,) = compare(histories).notes
    assert "a processor and an accelerator" in note


def test_studies_with_several_engines_are_called_by_both(new_store: Store) -> None:
    histories = [
        history_of(new_store, trials_of(0.5), name=name, engine=engine)
        for name, engine in [("a", "optuna:tpe"), ("a", "optuna:random"), ("b", "optuna:tpe")]
    ]
    labels = [each.label for each in compare(histories).standings]
    assert labels == ["a by optuna:tpe", "a by optuna:random", "b by optuna:tpe"]
