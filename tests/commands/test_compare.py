"""``kerastudy compare``, ``list`` and ``show`` of recorded studies: text, JSON, and refusals."""

import re
from pathlib import Path
from typing import Any

import pytest
from handmade import (
    CODE,
    losses,
    make_spec,
    other_data,
    record_confirmed,
    record_repeated,
    record_study,
    record_trial,
)
from scipy.stats import ttest_ind
from stores import history_at, store_at
from user_commands import Answer, as_json, kerastudy_here

import kerastudy as ks

SPACE = ks.SearchSpace(
    ks.Float("rate", 1e-4, 1e-1, scale="log"), ks.Choice("kind", ["a", "[b]", "c"])
)
FALLING = [{"rate": 10.0 ** -(number + 1), "kind": "[b]"} for number in range(3)]
ACCURACY = ks.Objective("val_accuracy", "max")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("compared") / "store"

    def study(name: str, values: list[Any], engine: str = "optuna:tpe", **settings: Any) -> None:
        record_study(root, name, values, FALLING, space=SPACE, engine=engine, **settings).close()

    study("digits", [0.7, 0.2, 0.3])
    study("손글씨 [red]", [0.9, 0.5, 0.1], code=CODE)
    study("accurate", [0.9], objective=ACCURACY)
    study("empty", [])
    study("failed", [None, None])
    study("a study that has a rather long name", [0.9], "keras-tuner:random")
    study("led", [0.8, 0.1, 0.6], "optuna:random")
    return root


def run(store: Path, *arguments: str, expect: int = 0) -> Answer:
    return kerastudy_here(store.parent, *arguments, "--store", store, expect=expect)


def document(store: Path, *arguments: str) -> Any:
    return as_json(run(store, *arguments, "--json"))


def lines(answer: Answer) -> list[list[str]]:
    """The lines of a table, each by its columns."""
    return [re.split(r" {2,}", line.strip()) for line in answer.stdout.splitlines()]


def test_json_and_text_have_all_of_two_studies(store: Path) -> None:
    comparison = document(store, "compare", "digits", "손글씨 [red]")
    assert comparison["objective"] == {"metric": "val_loss", "direction": "min"}
    one, _ = comparison["studies"]
    assert (one["study"], one["engine"]) == ("digits", "optuna:tpe")
    params = {"rate": 0.01, "kind": "[b]"}
    assert one["best"] == {"value": 0.2, "epoch": 2, "trial": 1, "params": params}
    assert (one["trials"]["complete"], one["trials"]["total"]) == (3, 3)
    assert (one["epochs"], one["seconds"]) == (6, 4.5)
    rows = lines(run(store, "compare", "digits", "손글씨 [red]"))
    for line in (
        ["objective", "min val_loss"],
        ["study", "digits", "손글씨 [red]"],
        ["engine", "optuna:tpe", "optuna:tpe"],
        ["best", "0.2", "0.1"],
        ["trials", "3 complete", "3 complete"],
        ["time", "4.5 s", "4.5 s"],
    ):
        assert line in rows


def test_a_study_without_values_stands_beside_the_others(store: Path) -> None:
    comparison = document(store, "compare", "digits", "empty", "failed", "led")
    assert [study["best"] and study["best"]["value"] for study in comparison["studies"]] == [
        0.2, None, None, 0.1,
    ]  # fmt: skip
    # The answer is about the studies that have values.
    answer = comparison["answer"]
    assert (answer["budget"], answer["unit"]) == (6, "epochs")
    assert answer["sentences"][0] == "There is no value by empty and failed."
    assert "0.2 by digits" in answer["sentences"][1]
    text = run(store, "compare", "digits", "empty").stdout
    assert "There is no value by empty. So there is nothing to compare yet." in text
    assert "no value yet" in text and "none yet" in text


def test_a_trial_costs_the_epochs_that_it_trained(tmp_path: Path) -> None:
    """The epochs of all its repeats count, and those of failed ones."""
    journal = record_study(tmp_path, "some", [], space=SPACE)
    first = make_spec(0, values=FALLING[0], epochs=2)
    record_trial(journal, first, losses(0.9, 0.6), "pruned")
    second = make_spec(1, values=first.values, epochs=3)
    record_trial(journal, second, losses(0.5, 0.2, 0.4))
    record_trial(journal, make_spec(2, values=first.values), losses(0.7), "infeasible")
    record_trial(journal, make_spec(3, values=first.values), losses(0.1), "running")
    repeated = record_study(tmp_path, "repeated", [], space=SPACE)
    record_repeated(repeated, make_spec(values=first.values), losses(0.5), epochs=(4, 5, 6))
    comparison = document(tmp_path, "compare", "some", "repeated")
    some, repeated = comparison["studies"]
    assert (some["epochs"], some["seconds"]) == (6, 4.5)
    assert (repeated["epochs"], repeated["seconds"]) == (15, 6.0)


def test_where_data_differ_is_said(tmp_path: Path) -> None:
    for name, data in {"one": {}, "two": {"data": other_data()}, "three": {}}.items():
        record_study(tmp_path, name, [0.5], FALLING, space=SPACE, **data).close()
    # Advice to launch more seeds would be wrong.
    (sentence,) = document(tmp_path, "compare", "one", "two", "three")["answer"]["sentences"]
    assert "The data of two differ from those of one" in sentence
    assert "another seed" not in sentence


def searches(root: Path, engine: str, bests: list[list[float]], **settings: Any) -> list[str]:
    """Records studies of one file under seeds 0, 1, …. Returns their names."""
    names = [f"{engine.partition(':')[2]}-{seed}" for seed in range(len(bests))]
    settings = {"engine": engine, "code": CODE, "objective": ACCURACY, "space": SPACE, **settings}
    for seed, (name, values) in enumerate(zip(names, bests, strict=True)):
        record_study(root, name, values, FALLING, seed=seed, **settings).close()
    return names


def test_over_several_seeds_the_better_engine_at_equal_budget_is_named(tmp_path: Path) -> None:
    names = searches(tmp_path, "optuna:random", [[0.5, 0.70], [0.4, 0.72], [0.3, 0.71]])
    # The third trials are beyond the budget of the others.
    names += searches(tmp_path, "optuna:tpe", [[0.80, 0.6, 0.99], [0.1, 0.84], [0.83, 0.2, 0.99]])
    answer = document(tmp_path, "compare", *names)["answer"]
    assert (answer["budget"], answer["unit"]) == (4, "epochs")
    assert answer["values"] == [0.7, 0.72, 0.71, 0.8, 0.84, 0.83]
    (difference,) = answer["differences"]
    assert (difference["better"], difference["other"]) == ("optuna:tpe", "optuna:random")
    welch = ttest_ind([0.80, 0.84, 0.83], [0.70, 0.72, 0.71], equal_var=False)
    gain, (low, high) = difference["gain"], welch.confidence_interval()
    assert (gain["low"], gain["high"]) == pytest.approx((low, high))
    text = run(tmp_path, "compare", *names).stdout
    first = " ".join(text.partition("\n\n")[0].split())
    assert first.startswith(
        "At 4 epochs each, optuna:tpe finds a better val_accuracy than optuna:random, by 0.113 "
        f"({low:.3f} to {high:.3f} at 95 %) over 3 seeds."
    )


def test_where_seeds_differ_as_much_it_can_not_be_said(tmp_path: Path) -> None:
    settings = {"objective": ks.Objective("val_loss", "min")}
    every = searches(tmp_path, "optuna:random", [[0.5], [0.4], [0.3]], **settings)
    every += searches(tmp_path, "optuna:tpe", [[0.3], [0.2], [0.5]], **settings)
    every += searches(tmp_path, "keras-tuner:bayesian", [[0.4], [0.4], [0.4]], **settings)
    answer = document(tmp_path, "compare", *every)["answer"]
    gains = {difference["other"]: difference["gain"] for difference in answer["differences"]}
    assert gains.keys() == {"optuna:random", "keras-tuner:bayesian"}
    assert all(gain["low"] < 0 < gain["value"] < gain["high"] for gain in gains.values())
    # There are three pairs.
    welch = ttest_ind([0.5, 0.4, 0.3], [0.3, 0.2, 0.5], equal_var=False)
    low, high = welch.confidence_interval(1 - 0.05 / 3)
    gain = gains["optuna:random"]
    assert (gain["low"], gain["high"]) == pytest.approx((low, high))
    text = " ".join(run(tmp_path, "compare", *every).stdout.split())
    assert "optuna:tpe and optuna:random can't be told apart over 3 seeds: optuna:tpe is" in text
    assert not any(difference["clear"] for difference in answer["differences"])


def test_a_study_that_has_no_value_within_the_other_ones_budget(tmp_path: Path) -> None:
    record_study(tmp_path, "long", [0.5], FALLING, space=SPACE, epochs=9).close()
    other = record_study(tmp_path, "short", [], space=SPACE)
    record_trial(other, make_spec(values=FALLING[0]), losses(0.6))
    sentence, _ = document(tmp_path, "compare", "long", "short")["answer"]["sentences"]
    assert sentence == "There is no value by long within 1 epoch."


def test_searches_that_differ_in_more_than_the_engine_are_named_by_study(tmp_path: Path) -> None:
    names = searches(tmp_path, "optuna:random", [[0.5], [0.9]])
    names += searches(tmp_path, "optuna:tpe", [[0.6], [0.8]], pruner="median")
    answer = document(tmp_path, "compare", *names)["answer"]
    (difference,) = answer["differences"]
    labels = {difference["better"], difference["other"]}
    assert labels == {"random-0 and random-1", "tpe-0 and tpe-1"}


def test_one_launch_each_says_nothing_of_searches(tmp_path: Path) -> None:
    searches(tmp_path, "optuna:random", [[0.5, 0.9]])
    searches(tmp_path, "optuna:tpe", [[0.3, 0.7], [0.3, 0.8]])
    answer = document(tmp_path, "compare", "random-0", "tpe-0")["answer"]
    assert answer["differences"] == []
    finding, advice = answer["sentences"]
    assert "0.9 by random-0 and 0.7 by tpe-0. These values do not say which" in finding
    assert "launch random-0 and tpe-0 under another --seed and --name" in advice
    (one,) = document(tmp_path, "compare", "tpe-0", "tpe-1")["answer"]["sentences"]
    assert one.startswith("They are one search under 2 seeds")
    # The same search under the same seed is no second seed.
    again = {"engine": "optuna:tpe", "code": CODE, "seed": 0, "objective": ACCURACY}
    record_study(tmp_path, "again", [0.3, 0.7], FALLING, space=SPACE, **again).close()
    record_study(tmp_path, "unlike", [0.4, 0.7], FALLING, space=SPACE, **again).close()
    (one,) = document(tmp_path, "compare", "tpe-0", "unlike")["answer"]["sentences"]
    assert one.startswith("They are one search under 1 seed:")
    (one,) = document(tmp_path, "compare", "tpe-0", "again")["answer"]["sentences"]
    assert one == "tpe-0 and again have the same trials."


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("digits accurate", ["different objectives", "min val_loss", "max val_accuracy"]),
        ("digits digit", ["no study 'digit'", "'digits'"]),
        ("digits digits", ["'digits'", "twice"]),
        ("accurate", ["two", "'accurate'"]),
        ("", ["STUDY"]),
    ],
)
def test_what_can_not_be_compared_is_told(store: Path, arguments: str, words: list[str]) -> None:
    answer = run(store, "compare", *arguments.split(), expect=2)
    assert answer.stdout == ""
    for word in words:
        assert word in answer.stderr.strip().splitlines()[-1]


def test_a_confirmed_champion_is_shown_with_its_value(tmp_path: Path) -> None:
    confirmed = record_study(tmp_path, "led", [0.7], FALLING, space=SPACE, objective=ACCURACY)
    (trial,) = history_at(tmp_path, "led").ended
    confirmed.set_champion(trial.uuid, "champion/one", "it won")
    record_confirmed(confirmed, "led", 0.7, 0.6, 0.8)
    confirmed.close()
    output = run(tmp_path, "show", "led").stdout
    assert "champion   trial 0, it won: models:/led@champion in MLflow" in output
    results = ks.read_study("led", store=tmp_path)
    assert results.champion is not None and results.champion.value == 0.7
    verdict = results.verdict
    assert len(verdict.confirmations) == 1 and "Expect 0.70 (0.60 to 0.80)" in verdict.text


def test_a_list_has_each_studys_trials_and_best_value(store: Path) -> None:
    rows, long = lines(run(store, "list")), "a study that has a rather long name"
    assert ["led", "val_loss 0.1", "3 complete", "just now"] in rows
    assert [long, "val_loss 0.9", "1 complete", "just now"] in rows
    (led,) = [study for study in document(store, "list") if study["study"] == "led"]
    assert (led["engine"], led["trials"], led["best"]) == ("optuna:random", 3, 0.1)
    assert led["states"]["complete"] == 3 and not led["running"]
    with store_at(store).lock_study(store / "led", "led"):
        assert ["led", "val_loss 0.1", "3 complete", "running"] in lines(run(store, "list"))


def test_a_trial_is_shown_in_full(store: Path) -> None:
    arguments = ("show", "손글씨 [red]", "--trial", "1")
    text = run(store, *arguments).stdout
    assert text.startswith("trial      1 of 손글씨 [red]: complete\nvalue      val_loss 0.5 ")
    assert "kind = [b]" in text and "rate = 0.01" in text
    rows = [line.split() for line in text.splitlines()]
    assert ["epoch", "val_loss"] in rows and ["2", "best", "0.5"] in rows
    assert "kerastudy reproduce '손글씨 [red]' --trial 1 --store" in text
    curve = document(store, *arguments)["curve"]
    assert curve == [{"epoch": 1, "val_loss": 9.0}, {"epoch": 2, "val_loss": 0.5}]
    assert "no trial 9" in run(store, "show", "digits", "--trial", "9", expect=2).stderr
    nowhere = run(store.parent / "nowhere", "compare", "a", "b", expect=2)
    assert "There is no store" in nowhere.stderr
