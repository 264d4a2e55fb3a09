"""A study's record, exported to Optuna: read back by Optuna, compared with what MLflow shows."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest
from damage import settle
from in_mlflow import InMlflow
from scripted import ScriptedExecutor, describe, run_study
from stores import history_at, store_at
from user_commands import kerastudy_here

import kerastudy as ks
from search_spaces import StudyError
from studies.exporting import export_optuna
from tracking.history import StudyHistory, read_study
from tracking.records import TrialSpec
from tracking.store import Store

NAME = "scripted (optuna:tpe)"


class KilledError(Exception):
    """Ends a launch in the midst of a trial."""


def launch(folder: Path, trials: int = 12, killed_at: int = -1, **settings: Any) -> None:
    def before(spec: TrialSpec) -> None:
        if spec.number == killed_at:
            raise KilledError

    description = describe(trials=trials, **{"pruner": "median", **settings})
    executor = ScriptedExecutor(description, before, infeasible={3})
    with contextlib.suppress(KilledError):
        run_study(executor, store=folder)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve trials, some pruned, one infeasible, and a last one that was interrupted."""
    folder = tmp_path_factory.mktemp("made") / "store"
    launch(folder, killed_at=11)
    launch(folder, 2, engine="optuna:random")
    settle(folder / "mlflow.db")
    return folder


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Store:
    shutil.copytree(made, tmp_path / "store")
    opened = store_at(tmp_path / "store")
    return opened


def history_of(store: Store) -> StudyHistory:
    return read_study(store, "scripted", "optuna:tpe")


def trials_of(address: str, name: str = NAME) -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name=name, storage=address).trials


def contents(trial: optuna.trial.FrozenTrial) -> dict[str, Any]:
    """What a trial has, without its id in the storage."""
    return {name: value for name, value in vars(trial).items() if name != "_trial_id"}


LOADED = """
import json, sys
import optuna
study = optuna.load_study(study_name=sys.argv[1], storage=sys.argv[2])
print(json.dumps([
    [t.state.name, t.values, t.params, t.intermediate_values, t.user_attrs,
     t.datetime_start.timestamp(), t.datetime_complete and t.datetime_complete.timestamp()]
    for t in study.trials
] + [study.direction.name, study.metric_names]))
"""


def test_optuna_loads_what_mlflow_has(store: Store) -> None:
    history = history_of(store)
    # The store is not where it would be by default.
    arguments = ("export", "scripted", "--as", "optuna", "--json")
    kerastudy_here(store.root.parent, *arguments, expect=2)
    told = kerastudy_here(store.root.parent, *arguments, "--store", store.root)
    document = json.loads(told.stdout)
    exports = {each["study"]: each for each in document["exports"]}
    assert exports.keys() == {NAME, "scripted (optuna:random)"}
    assert (exports[NAME]["trials"], exports[NAME]["written"]) == (12, 12)
    address = exports[NAME]["storage"]
    assert address == f"sqlite:///{store.root}/optuna.db"
    done = subprocess.run(
        [sys.executable, "-c", LOADED, NAME, address], capture_output=True, text=True
    )
    *trials, direction, metrics = json.loads(done.stdout)
    assert (direction, metrics) == ("MINIMIZE", ["val_loss"])
    states, shown = [], InMlflow(history)
    for number, (state, values, params, epochs, attributes, began, ended) in enumerate(trials):
        run = shown.run(attributes["kerastudy_uuid"])
        assert run.data.tags["kerastudy.trial"] == str(number)
        assert attributes["seed"] == int(run.data.params.get("seed", attributes["seed"]))
        points = shown.points(run, "val_loss") if "val_loss" in run.data.metrics else []
        assert epochs == {str(step): value for step, value in points}
        assert values == ([run.data.metrics["best_val_loss"]] if values else None)
        given = {n: v if isinstance(v, str) else json.dumps(v) for n, v in params.items()}
        assert given.items() <= run.data.params.items()
        assert began * 1000 == pytest.approx(run.info.start_time)
        assert ended is None or ended * 1000 == pytest.approx(run.info.end_time)
        states.append((state, run.data.tags["kerastudy.state"], values is None))
    assert states[3] == ("FAIL", "infeasible", True)
    assert "ValueError: no" in trials[3][4]["reason"]
    assert states[11] == ("WAITING", "interrupted", True)
    others = set(states[:3] + states[4:11])
    assert others == {("COMPLETE", "complete", False), ("PRUNED", "pruned", False)}
    assert len(trials_of(address, "scripted (optuna:random)")) == 2


def test_it_is_brought_up_to_date(store: Store) -> None:
    address = export_optuna(history_of(store)).storage
    assert export_optuna(history_of(store)).written == 0
    before = trials_of(address)
    assert before[11].state.name == "WAITING"
    launch(store.root, 15)
    export = export_optuna(history_of(store))
    assert (export.trials, export.written) == (15, 15), "the one that waited has changed"
    assert optuna.load_study(study_name=NAME, storage=address).metric_names == ["val_loss"]
    after = trials_of(address)
    assert [contents(trial) for trial in after[:11]] == [contents(trial) for trial in before[:11]]
    assert all(trial.state.is_finished() for trial in after)
    uuids = [trial.uuid for trial in history_of(store).trials]
    assert [trial.user_attrs["kerastudy_uuid"] for trial in after] == uuids
    launch(store.root, 17)
    assert export_optuna(history_of(store)).written == 2
    assert trials_of(address)[:15] == after


def test_what_was_changed_there_is_mended(store: Store) -> None:
    address = export_optuna(history_of(store)).storage
    before = trials_of(address)
    with contextlib.closing(sqlite3.connect(store.root / "optuna.db")) as database, database:
        database.execute("UPDATE trial_values SET value = value + 1 WHERE trial_id = 1")
        database.execute("DELETE FROM trial_params WHERE trial_id = 2")
    assert export_optuna(history_of(store)).written == 12
    assert [*map(contents, trials_of(address))] == [*map(contents, before)]


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_another_study_under_the_name_is_refused(store: Store, direction: str) -> None:
    there = optuna.create_study(study_name=NAME, storage=store.optuna_uri, direction=direction)
    if direction == "minimize":
        there.add_trial(optuna.trial.create_trial(value=1.0))
    before = trials_of(store.optuna_uri)
    with pytest.raises(StudyError, match=r"another study under the name .*--storage"):
        export_optuna(history_of(store))
    assert trials_of(store.optuna_uri) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--as", "optuna", "--storage", "digits.db"), ("'digits.db'", "sqlite:///")),
        (("--as", "optuna", "--storage", "nosuch://x/y"), ("nosuch",)),
        (("--as", "optuna", "--storage", "sqlite://"), ("lost with this process",)),
        (
            ("--as", "optuna", "--storage", "sqlite:////no/such/folder/x.db"),
            ("unable to open database file",),
        ),
        (
            ("--as", "optuna", "--storage", "sqlite:///STORE/scripted/journal.db"),
            ("not an Optuna database", "--storage"),
        ),
        (("--as", "optuna", "--storage", "sqlite:///STORE/store.json"), ("not a database",)),
        (
            ("--as", "optuna", "--storage", "postgresql://me:secret@localhost/x"),
            ("postgresql://me:***@localhost/x",),
        ),
        (("--as", "optuna", "--engine", "optuna:grid"), ("optuna:grid",)),
        (("--as", "excel"), ("'excel'", "optuna")),
        ((), ("--as",)),
    ],
)  # fmt: skip
def test_bad_input_is_refused_in_a_line(
    made: Path, tmp_path: Path, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    command = [word.replace("STORE", str(made)) for word in ("export", "scripted", *arguments)]
    told = kerastudy_here(tmp_path, *command, "--store", made, expect=2)
    assert told.stdout == ""
    assert told.stderr == f"{told.last}\n" and told.last.startswith("kerastudy: ")
    assert all(word in told.last for word in words), told.last
    assert not (made / "optuna.db").exists()


def test_a_study_without_trials(made: Path) -> None:
    history = dataclasses.replace(history_at(made, "scripted"), trials=())
    with pytest.raises(ks.errors.StudyError, match="no trials yet"):
        ks.export_optuna(history)
