"""``kerastudy compare``: the table, the JSON document, and what it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from handmade import ENVIRONMENT, losses, make_spec, record_trial
from scripted import describe
from stores import store_at
from user_commands import kerastudy_here

import kerastudy as ks
from search_spaces import SearchSpace
from studies.commands import kerastudy as group
from tracking.history import read_study
from tracking.journal import Journal
from tracking.records import Objective
from tracking.store import Store, create_store

SPACE = SearchSpace(ks.Float("rate", 1e-4, 1e-1, scale="log"), ks.Choice("kind", ["a", "[b]"]))
ACCURACY = Objective("val_accuracy", "max")


def study(store: Store, name: str, engine: str, values: list[float], **settings: Any) -> None:
    description = describe(name=name, engine=engine, space=SPACE, **settings)
    folder = store.folder_of(name) or store.new_folder(name)
    journal = Journal.begin(folder, description, ENVIRONMENT)
    for number, value in enumerate(values):
        spec = make_spec(
            number,
            values={"rate": 10.0 ** -(number + 1), "kind": "[b]"},
            objective=description.objective,
        )
        metric = description.objective.metric
        record_trial(
            journal, spec, [{**each, metric: each["val_loss"]} for each in losses(9.0, value)]
        )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = create_store(tmp_path_factory.mktemp("compared") / "store")
    study(made, "digits", "optuna:random", [0.8, 0.4])
    study(made, "digits", "optuna:tpe", [0.7, 0.2, 0.3])
    study(made, "손글씨 [red]", "optuna:tpe", [0.9, 0.5, 0.1])
    study(made, "accurate", "optuna:tpe", [0.9], objective=ACCURACY)
    study(made, "empty", "optuna:tpe", [])
    study(made, "a study that has a rather long name", "keras-tuner:random", [0.9])
    study(made, "led", "optuna:random", [0.8, 0.1, 0.6])
    study(made, "led", "optuna:tpe", [0.7, 0.3])
    return made.root


def opened(root: Path) -> Store:
    store = store_at(root)
    return store


def compare(store: Path, *arguments: str) -> Result:
    return CliRunner().invoke(group, ["compare", *arguments, "--store", str(store)])


def document(result: Result) -> Any:
    assert result.exit_code == 0, result.output

    def no_constant(text: str) -> None:
        raise ValueError(f"{text} is no JSON")

    return json.loads(result.stdout, parse_constant=no_constant)


def test_json_has_all_of_two_studies(store: Path) -> None:
    told = document(
        compare(store, "digits", "손글씨 [red]", "--reach", "0.3", "--top", "2", "--json")
    )
    assert told["objective"] == {"metric": "val_loss", "direction": "min"}
    one, other = told["studies"]
    # The engine of the best trial.
    assert (one["study"], one["engine"]) == ("digits", "optuna:tpe")
    assert one["best"] == {"value": 0.2, "epoch": 2, "trial": 1,
                           "params": {"rate": 0.01, "kind": "[b]"}}  # fmt: skip
    assert (one["trials"]["complete"], one["trials"]["total"]) == (3, 3)
    assert (one["epochs"], one["seconds"]) == (6, 4.5)
    assert one["reached"] == [{"target": 0.3, "trials": 2, "epochs": 4, "seconds": 3.0}]
    assert other["best"]["value"] == 0.1
    assert other["reached"] == [{"target": 0.3, "trials": 3, "epochs": 6, "seconds": 4.5}]
    assert told["targets"] == [0.3]
    rate, kind = told["top"]["parameters"]
    assert rate["name"] == "rate"
    assert rate["kind"] == "interval"
    assert rate["regions"] == [[0.001, 0.01], [0.001, 0.01]]
    assert rate["overlap"] == 1.0
    assert kind == {"name": "kind", "kind": "set", "regions": [["[b]"], ["[b]"]], "overlap": 1.0}
    assert (told["top"]["trials"], told["top"]["overlap"]) == (2, 1.0)
    assert told["notes"] == []


def test_the_text_says_the_same(store: Path) -> None:
    told = compare(
        store, "digits", "손글씨 [red]", "--reach", "0.3", "--reach", "0.15", "--top", "2"
    )
    assert told.exit_code == 0, told.output
    lines = [re.split(r" {2,}", line.strip()) for line in told.stdout.splitlines()]
    assert ["objective", "min val_loss"] in lines
    assert ["study", "digits", "손글씨 [red]"] in lines
    assert ["engine", "optuna:tpe", "optuna:tpe"] in lines
    assert ["best", "0.2", "0.1"] in lines and ["trial", "1", "2"] in lines
    assert ["trials", "3 complete", "3 complete"] in lines
    assert ["epochs", "6", "6"] in lines and ["time", "4.5 s", "4.5 s"] in lines
    assert ["to reach val_loss", "digits", "손글씨 [red]"] in lines
    assert ["0.3", "2 trials, 4 epochs, 3 s", "3 trials, 6 epochs, 4.5 s"] in lines
    assert ["0.15", "not reached", "3 trials, 6 epochs, 4.5 s"] in lines
    assert ["top 2 trials", "digits", "손글씨 [red]", "overlap"] in lines
    assert ["rate", "0.001 to 0.01", "0.001 to 0.01", "1.00"] in lines
    assert ["kind", "[b]", "[b]", "1.00"] in lines
    assert ["mean", "1.00"] in lines


@pytest.mark.parametrize("engine", [None, "optuna:random", "optuna:tpe"])
def test_the_best_trials_engine_is_the_default_everywhere(store: Path, engine: str | None) -> None:
    """The other one was launched last."""
    found = read_study(opened(store), "led", engine)
    led = engine != "optuna:tpe"
    assert found.description.engine == ("optuna:random" if led else "optuna:tpe")
    arguments = [] if engine is None else ["--engine", engine]
    shown = CliRunner().invoke(group, ["show", "led", *arguments, "--store", str(store)])
    best = "trial 1 of optuna:random" if led else "trial 1 of optuna:tpe"
    assert f"best       {best}: val_loss {0.1 if led else 0.3} at epoch 2" in shown.stdout
    assert "(see --engine)" in shown.stdout and shown.exit_code == 0
    compared = document(compare(store, "led", "digits", *arguments, "--json"))
    assert compared["studies"][0]["best"]["value"] == (0.1 if led else 0.3)


def test_a_list_has_the_trials_of_all_engines_and_the_best_ones(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    told = CliRunner().invoke(group, ["list", "--store", str(store)])
    lines = [re.split(r" {2,}", line.strip()) for line in told.stdout.splitlines()]
    assert ["led", "val_loss 0.1", "5 complete", "2", "just now"] in lines
    assert [
        "a study that has a rather long name",
        "val_loss 0.9",
        "1 complete",
        "1",
        "just now",
    ] in lines
    told = CliRunner().invoke(group, ["list", "--json", "--store", str(store)])
    (led,) = [each for each in json.loads(told.stdout) if each["study"] == "led"]
    assert (led["engine"], led["trials"], led["best"]) == ("optuna:random", 5, 0.1)
    assert led["states"]["complete"] == 5 and not led["running"]
    with opened(store).lock_study(store / "led", "led"):
        told = CliRunner().invoke(group, ["list", "--store", str(store)])
    assert ["led", "val_loss 0.1", "5 complete", "2", "running"] in [
        re.split(r" {2,}", line.strip()) for line in told.stdout.splitlines()
    ]


def test_a_trial_is_shown_in_full(store: Path) -> None:
    arguments = ["show", "손글씨 [red]", "--trial", "1", "--store", str(store)]
    text = CliRunner().invoke(group, arguments).stdout
    assert text.startswith("trial      1 of 손글씨 [red]: complete\nvalue      val_loss 0.5 ")
    assert "kind = [b]" in text and "rate = 0.01" in text
    rows = [line.split() for line in text.splitlines()]
    assert ["epoch", "loss", "val_loss"] in rows
    assert ["1", "4.5", "9"] in rows and ["2", "best", "0.25", "0.5"] in rows
    assert "kerastudy reproduce '손글씨 [red]' --trial 1 --store" in text
    found = document(CliRunner().invoke(group, [*arguments, "--json"]))
    assert found["curve"] == [
        {"epoch": 1, "loss": 4.5, "val_loss": 9.0},
        {"epoch": 2, "loss": 0.25, "val_loss": 0.5},
    ]
    told = CliRunner().invoke(group, ["show", "digits", "--trial", "9", "--store", str(store)])
    assert told.exit_code == 2


def test_json_has_all_trials(store: Path) -> None:
    arguments = ["show", "led", "--engine", "optuna:random", "--json", "--store", str(store)]
    found = document(CliRunner().invoke(group, arguments))
    assert [(each["trial"], each["value"]) for each in found["all"]] == [
        (0, 0.8),
        (1, 0.1),
        (2, 0.6),
    ]


def test_one_study_means_its_engines(store: Path) -> None:
    told = document(compare(store, "digits", "--json"))
    assert [each["engine"] for each in told["studies"]] == ["optuna:random", "optuna:tpe"]
    assert {each["study"] for each in told["studies"]} == {"digits"}
    # All reach the worse of the best values.
    assert told["targets"][-1] == 0.4
    assert all(each["reached"][-1]["trials"] == 2 for each in told["studies"])


def test_engines_are_taken_as_given(store: Path) -> None:
    told = document(compare(store, "digits", "--engine", "tpe", "--engine", "random", "--json"))
    assert [each["engine"] for each in told["studies"]] == ["optuna:tpe", "optuna:random"]


def test_a_study_without_trials_stands_beside_the_others(store: Path) -> None:
    told = document(compare(store, "digits", "empty", "--json"))
    assert told["studies"][1]["best"] is None
    assert told["studies"][1]["reached"][0]["trials"] is None
    assert told["top"]["overlap"] is None
    text = compare(store, "digits", "empty").stdout
    assert "no value yet" in text
    assert "none yet" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["digits", "accurate"], ["different objectives", "min val_loss", "max val_accuracy"]),
        (["digits", "digit"], ["no study 'digit'", "'digits'"]),
        (["digits", "digits"], ["'digits'", "twice"]),
        (["accurate"], ["two", "'accurate' by optuna:tpe"]),
        (["digits", "--engine", "tpe"], ["two", "'digits' by optuna:tpe"]),
        (["digits", "--engine", "tpee"], ["'tpee'", "Did you mean", "'tpe'"]),
        (["digits", "accurate", "--engine", "random"], ["'accurate'", "'optuna:random'"]),
        (["digits", "--reach", "nan"], ["finite", "nan"]),
    ],
)
def test_what_can_not_be_compared_is_told_in_one_line(
    store: Path, arguments: list[str], words: list[str]
) -> None:
    told = compare(store, *arguments)
    assert told.exit_code == 2
    assert told.stdout == ""
    (line,) = told.stderr.strip().splitlines()
    for word in words:
        assert word in line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["STUDY"]),
        (["digits", "--top", "0"], ["--top", "0"]),
        (["digits", "--reach", "high"], ["--reach", "high"]),
    ],
)
def test_wrong_use(store: Path, arguments: list[str], words: list[str]) -> None:
    told = compare(store, *arguments)
    assert (told.exit_code, told.stdout) == (2, "")
    for word in words:
        assert word in told.stderr


def test_without_a_store_it_says_so(tmp_path: Path) -> None:
    told = compare(tmp_path / "nowhere", "a", "b")
    assert told.exit_code == 2
    assert "There is no store" in told.stderr
    assert not list(tmp_path.iterdir())


def test_help_has_examples_and_loads_nothing_of_the_store(tmp_path: Path) -> None:
    told = kerastudy_here(tmp_path, "compare", "--help")
    assert told.stdout.startswith("Usage: kerastudy compare [OPTIONS] STUDY...")
    assert re.search(r"^ +kerastudy compare digits digits-wide$", told.stdout, flags=re.MULTILINE)
    for option in ("--engine", "--reach", "--top", "--store", "--json"):
        assert option in told.stdout
