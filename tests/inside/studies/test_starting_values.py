"""Values that a study starts with: of a file, of a table of trials, of another study."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import optuna
import pytest
from blobs import write_study
from scripted import ScriptedExecutor, describe, run_study
from user_commands import kerastudy_here

import kerastudy as ks
from search_spaces import SearchSpace, SearchSpaceError, StudyError
from studies.exporting import export_table
from studies.progress import NoProgress, Progress
from studies.running import read_rows
from tracking.history import StudyHistory, ranked

SPACE = SearchSpace(
    ks.Float("rate", 1e-4, 1.0, scale="log"),
    ks.Choice("kind", ["a", "b", "=c", None]),
    ks.Int("units", 4, 64),
    ks.Int("layers", 1, 4, when={"kind": "b"}),
    ks.Choice("hidden", [(64,), (64, 32)]),
    ks.Choice("sizes", [8, 16], when={"kind": ["b", None]}),
    ks.Boolean("flag"),
)


OLD: dict[str, Any] = {"trials": 24, "engine": "optuna:random", "try_defaults": False}


class Answer(NoProgress):
    """Keeps what a user is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store, in which a study has 24 trials."""
    folder = tmp_path_factory.mktemp("starting values")
    launch(folder, "old", **OLD)
    return folder


def launch(
    folder: Path, name: str, progress: Progress | None = None, **settings: Any
) -> StudyHistory:
    usual = {"space": SPACE, "trials": 12, "epochs": 2, "try_defaults": True}
    description = describe(**{"name": name, **usual, **settings})
    executor = ScriptedExecutor(description)
    return run_study(executor, store=folder / "store", progress=progress or NoProgress())


def values(history: StudyHistory) -> list[dict[str, Any]]:
    return [dict(trial.spec.values) for trial in history.trials]


def best(folder: Path) -> list[dict[str, Any]]:
    old = launch(folder, "old", **OLD)
    found = ranked(old.trials, old.description.objective)
    return [dict(trial.spec.values) for trial in found]


def test_the_best_ten_of_another_study(folder: Path) -> None:
    told = Answer()
    history = launch(folder, "from old", told, initial_from="study:old")
    assert values(history)[0] == SPACE.defaults()
    assert values(history)[1:11] == best(folder)[:10]
    assert "starts with the best 10 of the study 'old'" in told.lines
    assert history.description.initial_from == "study:old"


def test_a_study_keeps_the_trials_that_it_was_begun_with(folder: Path) -> None:
    """Even if the other study has better ones by now."""
    launch(folder, "growing", **{**OLD, "trials": 4})
    begun = launch(folder, "from growing", trials=4, initial_from="study:growing")
    launch(folder, "growing", **OLD)
    again = launch(folder, "from growing", trials=6, initial_from="study:growing")
    assert len(again.description.initial) == 4
    assert again.description.initial == begun.description.initial
    assert values(again)[:4] == values(begun)


def test_what_is_not_in_the_space_is_passed_over_and_counted(folder: Path) -> None:
    told = Answer()
    narrower = SearchSpace(*(p for p in SPACE if p.name != "rate"), ks.Float("rate", 4e-3, 1.0))
    history = launch(folder, "narrower", told, space=narrower, initial_from="study:old")
    expected = [each for each in best(folder) if each["rate"] >= 4e-3][:10]
    assert expected and values(history)[1 : 1 + len(expected)] == expected
    (line,) = [each for each in told.lines if each.startswith("starts with")]
    assert "not in this space, such as: Float 'rate'" in line
    with pytest.raises(
        StudyError, match=r"No trial of the study 'old' can be tried here: 24 not in"
    ):
        launch(folder, "none", space=SearchSpace(ks.Float("x", 0, 1)), initial_from="study:old")


def test_an_exported_table_gives_its_best_ten_exactly(folder: Path, tmp_path: Path) -> None:
    old = launch(folder, "old", **OLD)
    table = export_table([old], "csv", tmp_path / "old.csv")
    history = launch(folder, "from a table", initial_from=str(table.file))
    assert values(history)[1:11] == best(folder)[:10]
    kinds = {each["kind"] for each in values(history)[1:11]}
    assert len(kinds) > 1


def test_a_table_of_optunas_is_usable(folder: Path, tmp_path: Path) -> None:
    study = optuna.create_study(direction="minimize")
    study.optimize(lambda t: t.suggest_float("rate", 1e-3, 1e-1), n_trials=12)
    study.trials_dataframe().to_csv(tmp_path / "optuna.csv")
    space = SearchSpace(ks.Float("rate", 1e-4, 1.0, scale="log"), ks.Int("units", 4, 64))
    file = str(tmp_path / "optuna.csv")
    history = launch(folder, "from optuna", space=space, initial_from=file)
    rates = [each["rate"] for each in values(history)[1:11]]
    assert rates == sorted(trial.params["rate"] for trial in study.trials)[:10]
    assert {each["units"] for each in values(history)[1:11]} == {space["units"].default}


def test_files_by_hand_are_tried_whole_and_in_order(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "by hand.csv").write_text('rate,kind,hidden\n0.5,=c,"(64, 32)"\n0.25,,\n')
    (tmp_path / "by hand.json").write_text(
        json.dumps([{"rate": 0.5, "kind": "=c", "hidden": [64, 32]}, {"rate": 0.25, "kind": None}])
    )
    for kind in ("csv", "json"):
        file = str(tmp_path / f"by hand.{kind}")
        found = values(launch(folder, f"by hand, {kind}", trials=3, initial_from=file))
        assert [each["rate"] for each in found[1:]] == [0.5, 0.25]
        assert [each["kind"] for each in found[1:]] == ["=c", None]
        assert SPACE["hidden"].opened(found[1]["hidden"]) == (64, 32)


def test_a_file_is_not_needed_again(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps([{"rate": 0.5}, {"rate": 0.25}]))
    settings = {"initial_from": str(tmp_path / "a.json")}
    begun = launch(folder, "from a file", trials=2, **settings)
    (tmp_path / "a.json").unlink()
    again = launch(folder, "from a file", trials=4, **settings)
    assert again.description.initial == begun.description.initial
    assert [each["rate"] for each in values(again)[1:3]] == [0.5, 0.25]


def test_a_study_does_not_start_with_its_own_trials(folder: Path) -> None:
    with pytest.raises(StudyError, match="can't start with its own trials"):
        launch(folder, "old", **OLD, initial_from="study:old")


def test_an_empty_text_may_be_a_value(folder: Path, tmp_path: Path) -> None:
    space = SearchSpace(
        ks.Float("rate", 0.5, 1.0),
        ks.Int("units", 4, 64),
        ks.Choice("prefix", ["a", ""]),
        ks.Choice("suffix", ["b", ""], when={"prefix": "a"}),
    )
    (tmp_path / "a.csv").write_text("prefix,suffix\n,\na,\na,b\n")
    settings = {"space": space, "trials": 4, "try_defaults": False}
    history = launch(folder, "empty", initial_from=str(tmp_path / "a.csv"), **settings)
    found = [(each["prefix"], each.get("suffix")) for each in values(history)[:3]]
    assert found == [("", None), ("a", ""), ("a", "b")]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.json", "[1]", "must hold values by name"),
        ("a.json", "[]", "must hold values by name"),
        ("a.json", "{", "cannot be read"),
        ("a.csv", "rate\n", "must hold values by name"),
        ("a.csv", "rate,kind\n0.5\n", "more or fewer cells"),
        ("a.csv", "rate\n0.5,a\n", "more or fewer cells"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, name: str, text: str, words: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(StudyError, match=words):
        read_rows(tmp_path / name)


def test_a_value_by_hand_that_is_not_in_the_space_is_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("rate\n0.5\nhigh\n")
    with pytest.raises(SearchSpaceError, match=r"Values 2 of .*a\.csv.*a number. Received: 'high'"):
        launch(folder, "wrong", initial_from=str(tmp_path / "a.csv"))
    (tmp_path / "b.json").write_text(json.dumps({"raet": 0.5}))
    with pytest.raises(SearchSpaceError, match=r"Values 1 of .*Did you mean 'rate'"):
        launch(folder, "wrong", initial_from=str(tmp_path / "b.json"))


def test_what_a_study_takes() -> None:
    study = ks.Study("a", data=ks.datasets.digits(), build=lambda hp: None, initial="study:old")
    assert study.initial == "study:old"
    assert study.with_overrides({"initial": Path("a.csv")}).initial == "a.csv"
    for wrong in ("", "study:", 3, [3], {"rate": 1}):
        with pytest.raises(StudyError, match="initial must be a list of values by name"):
            study.with_overrides({"initial": wrong})


def test_on_the_command_line(tmp_path: Path) -> None:
    write_study(tmp_path)
    here = ("--executor", "in-process", "--verify", "off", "--no-report", "--json")
    first = kerastudy_here(tmp_path, "launch", "my_study.py", "--trials", "3", *here)
    top = [trial["params"] for trial in json.loads(first.stdout)["top"]]
    other = ("launch", "my_study.py", "--name", "other", "--start-with", "study:blobs", *here)
    planned = kerastudy_here(tmp_path, *other, "--dry-run")
    assert json.loads(planned.stdout)["initial"] == top
    assert json.loads(planned.stdout)["initial_from"] == "study:blobs"
    told = kerastudy_here(tmp_path, *other, "--trials", "2")
    assert "starts with the best 3 of the study 'blobs'" in told.stderr
    nowhere = ("launch", "my_study.py", "--name", "n", "--start-with", "study:nowhere", *here)
    told = kerastudy_here(tmp_path, *nowhere, expect=None)
    assert told.returncode == 2 and "'nowhere'" in told.last
    listed = json.loads(kerastudy_here(tmp_path, "list", "--json").stdout)
    assert "nowhere" not in str(listed) and len(listed) == 2
