"""MLflow has what a study's journal has, wherever the exporter was killed, whatever people do."""

from __future__ import annotations

import contextlib
import http.server
import itertools
import os
import re
import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from exported import check_equal, experiment_of, runs_of
from handmade import ENVIRONMENT, losses, make_result, make_spec, record_trial
from mlflow import MlflowClient
from mlflow.entities import Run, ViewType
from scripted import ScriptedExecutor, describe, run_study, save_made_up_model
from statements import noting_statements, read_whole
from stores import store_at
from suite import exhaustive_but

import kerastudy as ks
from search_spaces import SearchSpace, ServerAwayError, StoreError
from studies.progress import NoProgress
from tracking.history import (
    StudyHistory,
    delete_study,
    read_study,
    record_verified,
    rename_study,
    study_size,
    withdraw_champion,
)
from tracking.journal import Journal
from tracking.mlflow import StudyExporter, open_store_client, process
from tracking.records import Confirmation, EpochResult, Interval, Proposal, Racer, TrialSpec
from tracking.store import Store, create_store

NAME = "everything"


class Registering(ScriptedExecutor):
    """Saves something that MLflow takes for the champion's model."""

    def save_champion(
        self, spec: TrialSpec, checkpoint: Path, space: SearchSpace, folder: Path
    ) -> dict[str, float]:
        return save_made_up_model(folder, checkpoint)


def launch(root: Path, name: str = NAME, trials: int = 8, **settings: Any) -> StudyHistory:
    """Runs a study with every kind of end that a trial has."""
    description = describe(name=name, pruner="median", trials=trials, **settings)
    executor = Registering(description, infeasible={2}, lost=[3])
    return run_study(executor, store=root, progress=NoProgress())


def confirm(history: StudyHistory) -> None:
    """Records a confirmation that has ended, and one that was killed."""
    journal = history.writing()
    for ends in (True, False):
        uuid = journal.begin_confirmation(f'{{"options": {{"top": {ends:d}}}}}')
        for seed in range(2):
            spec = make_spec(seed + 2, begun_as=1)
            training = journal.begin_training(uuid, spec, f"#1 · seed {seed}", f"{ends}{seed}")
            journal.log_epoch(training, EpochResult(spec.number, 1, {"val_loss": 0.5}, 0.1))
            if ends:
                journal.end_training(training, make_result(spec, losses(0.5)))
        if ends:
            race = (Racer(1, (0.25, None)), Racer(0, (0.5,)))
            found = Confirmation(
                NAME, "optuna:tpe", uuid, "val_loss", "min", 1, 0.25, None, (1, 2), race, None, 1,
                Interval(0.31, 0.2, 0.42), Interval(0.1, 0.05, 0.15),
            )  # fmt: skip
            journal.end_confirmation(uuid, found)
    journal.close()


@pytest.fixture(scope="module")
def made(empty_store_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with two studies, and MLflow's database without them, which takes seconds to make."""
    root = tmp_path_factory.mktemp("made") / "store"
    shutil.copytree(empty_store_folder, root)
    history = launch(root)
    assert history.best is not None
    record_verified(history, history.best, "model.fit, identical in 4 of 4 epochs")
    confirm(history)
    launch(root, "repeated", trials=4, repeats=2)
    assert StudyExporter(create_store(root), history.folder).destination.client
    assert not list(root.glob("*partial*"))
    return root


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Store:
    shutil.copytree(made, tmp_path / "a store")
    opened = store_at(tmp_path / "a store")
    return opened


def client_of(store: Store) -> MlflowClient:
    return open_store_client(store)


def export(store: Store, name: str = NAME, address: str = "", **options: bool) -> int:
    return StudyExporter(store, folder_of(store, name), address).update(whole=True, **options)


def folder_of(store: Store, name: str = NAME) -> Path:
    folder = store.folder_of(name)
    assert folder is not None
    return folder


def dumped(store: Store) -> list[str]:
    with contextlib.closing(sqlite3.connect(store.root / "mlflow.db")) as database:
        return [*database.iterdump()]


@pytest.mark.parametrize("name", [NAME, "repeated"])
def test_mlflow_has_what_the_journal_has_and_nothing_twice(store: Store, name: str) -> None:
    assert export(store, name) > 4
    check_equal(client_of(store), folder_of(store, name))
    experiment = experiment_of(client_of(store), folder_of(store, name))
    assert experiment.name == name
    assert experiment.tags["mlflow.note.content"].startswith("Reported val_loss ")
    assert len([tag for tag in experiment.tags if tag.startswith("mlflow.sharedViewState.")]) == 3
    before = dumped(store)
    assert export(store, name) == 0
    assert dumped(store) == before


def test_a_running_study_is_there_as_far_as_it_is(store: Store) -> None:
    """Each update sends what has come since the one before; a lost trial is tried again."""
    journal = Journal.begin(store.root / "runs", describe(name="runs"), ENVIRONMENT)
    exporter = StudyExporter(store, journal.folder)
    spec = make_spec()

    def check() -> None:
        journal.flush()
        exporter.update()
        check_equal(client_of(store), journal.folder)

    check()
    for attempt in (1, 2):
        spec = make_spec(attempt=attempt)
        uuid = journal.begin_trial(spec, Proposal(0, spec.values), ENVIRONMENT)
        journal.begin_fit(uuid, spec, only=True)
        check()
        for epoch in (1, 2):
            journal.log_epoch(uuid, EpochResult(0, epoch, {"val_loss": 0.5 / epoch}, 0.1))
            check()
        if attempt == 1:
            journal.lose_trial(uuid, 1)
            check()
    journal.end_trial(uuid, make_result(spec, losses(0.5, 0.25)))
    record_trial(journal, make_spec(1), losses(0.125))
    check()
    journal.end("FINISHED", "trials", "all are done")
    check()
    (parent,) = [run for run in runs_of(client_of(store), journal.folder).values()
                 if run.data.tags["kerastudy.kind"] == "study"]  # fmt: skip
    # The best so far by how many trials had ended.
    best = client_of(store).get_metric_history(parent.info.run_id, "study/best_val_loss")
    assert [(point.step, point.value) for point in best] == [(1, 0.25), (2, 0.125)]


class Observed:
    """MLflow's client, and the calls of it."""

    def __init__(self, exporter: StudyExporter) -> None:
        self._client = exporter.destination.client
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        exporter.destination.client = self  # type: ignore[assignment]

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)

        def called(*arguments: Any, **options: Any) -> Any:
            self.calls.append((name, arguments))
            return found(*arguments, **options)

        return called if callable(found) else found


def test_a_round_with_nothing_new_asks_mlflow_nothing(store: Store) -> None:
    exporter = StudyExporter(store, folder_of(store))
    observed = Observed(exporter)
    exporter.update(whole=True)
    assert observed.calls
    observed.calls.clear()
    assert exporter.update() == 0
    assert observed.calls == []
    (folder_of(store) / "report.html").write_text("A report.")
    assert exporter.update() == 0
    assert "log_artifact" in dict(observed.calls)
    observed.calls.clear()
    assert exporter.update() == 0
    assert observed.calls == []
    launch(store.root, trials=10)
    assert exporter.update() > 0
    check_equal(client_of(store), folder_of(store))


def test_an_ended_trial_takes_one_batch_and_its_end_comes_last(store: Store) -> None:
    """Whether it was sent while it ran, or is sent as a whole; 2,000 epochs take more requests."""
    journal = Journal.begin(store.root / "runs", describe(name="runs"), ENVIRONMENT)
    exporter, spec = StudyExporter(store, journal.folder), make_spec()
    observed = Observed(exporter)
    running = record_trial(journal, spec, losses(0.5), "running")
    exporter.update()
    observed.calls.clear()
    journal.end_trial(running, make_result(spec, losses(0.5)))
    at_once = record_trial(journal, make_spec(1), losses(0.25))
    exporter.update()
    there = runs_of(client_of(store), journal.folder)
    for uuid in (running, at_once):
        run = there[uuid].info.run_id
        calls = [name for name, arguments in observed.calls if run in arguments]
        assert calls.count("log_batch") == 1
        assert calls[-1] == "set_terminated"


def test_a_large_trial_arrives_whole(store: Store) -> None:
    """It is more than MLflow takes in a request."""
    space = SearchSpace(*(ks.Float(f"p{i}", 0, 1) for i in range(150)))
    description = describe(name="large", space=space)
    journal = Journal.begin(store.root / "large", description, ENVIRONMENT)
    spec = make_spec(values={name: 0.5 for name in space.dimensions}, epochs=2000)
    trial = journal.begin_trial(spec, Proposal(0, spec.values), ENVIRONMENT)
    journal.begin_fit(trial, spec, only=True)
    curve = losses(*(1 / epoch for epoch in range(1, 2001)))
    for epoch, metrics in enumerate(curve, start=1):
        journal.log_epoch(trial, EpochResult(0, epoch, metrics, 0.1))
    noted = {f"n{i}": i for i in range(150)}
    journal.end_trial(trial, replace(make_result(spec, curve), user_attrs=noted))
    journal.end("FINISHED", "trials", "all are done")
    export(store, "large")
    check_equal(client_of(store), journal.folder)
    tagged = runs_of(client_of(store), journal.folder)[trial].data.tags
    assert {name: tagged[f"user_attrs.{name}"] for name in noted} == {
        name: str(value) for name, value in noted.items()
    }


class Killed(BaseException):
    """Raised where the process would be killed."""


class Killing:
    """MLflow's client, in a process that is killed at one of its calls."""

    def __init__(self, client: MlflowClient, at: int, *, after: bool) -> None:
        self._client, self._left, self._after = client, at, after

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._client, name)

        def called(*arguments: Any, **options: Any) -> Any:
            self._left -= 1
            if not self._left and not self._after:
                raise Killed
            answer = call(*arguments, **options)
            if not self._left:
                raise Killed
            return answer

        return called if callable(call) else call


def killed_at(store: Store, name: str, at: int, *, after: bool) -> bool:
    """Sends a study by a process that is killed at a call; returns whether it came so far."""
    exporter = StudyExporter(store, folder_of(store, name))
    destination = exporter.destination
    destination.client = Killing(destination.client, at, after=after)  # type: ignore[assignment]
    try:
        exporter.update(whole=True)
    except Killed:
        return True
    return False


@pytest.mark.parametrize(
    ("name", "after"),
    exhaustive_but([(NAME, True), ("repeated", False)], product([NAME, "repeated"], [False, True])),
)
def test_killed_again_and_again_it_sends_everything_once(
    store: Store, name: str, after: bool
) -> None:
    calls = next(n for n in itertools.count(1) if not killed_at(store, name, n, after=after))
    assert calls > 20
    export(store, name)
    check_equal(client_of(store), folder_of(store, name))


@pytest.mark.exhaustive
@pytest.mark.parametrize("after", [False, True])
def test_killed_at_any_call_it_sends_everything_once(store: Store, after: bool) -> None:
    """Each time another study, without the notes of the one before."""
    template = folder_of(store)
    for at in itertools.count(1):
        folder = store.root / f"copy {at}"
        shutil.copytree(template, folder)
        with contextlib.closing(sqlite3.connect(folder / "journal.db")) as database, database:
            database.execute("UPDATE study SET uuid = ?, name = ?", (f"{at:032}", folder.name))
        reached = killed_at(store, folder.name, at, after=after)
        export(store, folder.name)
        check_equal(client_of(store), folder)
        shutil.rmtree(folder)
        if not reached:
            break


def test_without_its_notes_it_finds_what_is_there(store: Store) -> None:
    export(store)
    (folder_of(store) / "exports.db").unlink()
    launch(store.root, trials=10)
    export(store)
    check_equal(client_of(store), folder_of(store))
    (folder_of(store) / "exports.db").write_bytes(b"no database " * 99)
    export(store)
    check_equal(client_of(store), folder_of(store))


def test_a_database_that_is_gone_is_filled_anew(store: Store) -> None:
    exporter = StudyExporter(store, folder_of(store))
    exporter.update(whole=True)
    for path in store.root.glob("mlflow.db*"):
        path.unlink()
    export(store)
    check_equal(client_of(store), folder_of(store))


def purge(store: Store) -> None:
    from mlflow.cli import gc

    address = store.mlflow_uri
    done = CliRunner(env={"MLFLOW_TRACKING_URI": address}).invoke(
        gc, ["--backend-store-uri", address]
    )
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("purged", [False, True])
def test_a_run_that_a_person_deleted_is_left_so(store: Store, purged: bool) -> None:
    export(store)
    client, folder = client_of(store), folder_of(store)
    of_trial = {run.data.tags.get("kerastudy.trial"): uuid
                for uuid, run in runs_of(client, folder).items()}  # fmt: skip
    uuid = of_trial["1"]
    run = runs_of(client, folder)[uuid].info.run_id
    client.delete_run(run)
    if purged:
        purge(store)
    history = launch(store.root, trials=10)
    record_verified(history, history.trial(1), "model.fit, not run: no")  # type: ignore[arg-type]
    export(store)
    left = runs_of(client, folder)
    if purged:
        assert uuid not in left
    else:
        assert left[uuid].info.lifecycle_stage == "deleted"
    assert len({u for u in left if u != uuid}) == len(runs_of(client, folder)) - (not purged)
    export(store, again=True)
    check_equal(client, folder)


@pytest.mark.parametrize("purged", [False, True])
def test_an_experiment_that_a_person_deleted_is_left_so(store: Store, purged: bool) -> None:
    export(store)
    client, folder = client_of(store), folder_of(store)
    client.delete_experiment(experiment_of(client, folder).experiment_id)
    if purged:
        purge(store)
    assert len(launch(store.root, trials=10).trials) == 10
    assert export(store) == 0
    assert client.search_experiments(ViewType.ACTIVE_ONLY) == []
    export(store, again=True)
    check_equal(client, folder)


def test_what_a_person_renamed_keeps_its_name(store: Store) -> None:
    export(store)
    client, folder = client_of(store), folder_of(store)
    experiment = experiment_of(client, folder).experiment_id
    client.rename_experiment(experiment, "mine")
    client.set_experiment_tag(experiment, "mlflow.note.content", "Mine.")
    history = read_study(store, NAME)
    assert history.best is not None
    run = runs_of(client, folder)[history.best.uuid].info.run_id
    client.set_tag(run, "mlflow.runName", "my best")
    client.rename_registered_model(NAME, "my model")
    record_verified(history, history.best, "model.fit, not run: no")
    launch(store.root, trials=10)
    export(store)
    renamed = rename_study(read_study(store, NAME), "renamed")
    export(store, "renamed")
    check_equal(client, renamed.folder)
    assert experiment_of(client, renamed.folder).name == "mine"
    assert experiment_of(client, renamed.folder).tags["mlflow.note.content"] == "Mine."
    assert client.get_run(run).info.run_name == "my best"
    assert [model.name for model in client.search_registered_models()] == ["my model"]
    again = rename_study(renamed, "again")
    export(store, "again")
    check_equal(client, again.folder)
    assert experiment_of(client, again.folder).name == "mine"
    assert not (again.folder / "lock.json").exists()


def test_what_a_person_renames_while_it_runs_keeps_its_name(store: Store) -> None:
    """A trial, its repeats, the study's run, and a confirmation with its trainings."""
    journal = Journal.begin(store.root / "runs", describe(name="runs", repeats=2), ENVIRONMENT)
    exporter, client, spec = StudyExporter(store, journal.folder), client_of(store), make_spec()
    result, epoch = make_result(spec, losses(0.5)), EpochResult(0, 1, {"val_loss": 0.5}, 0.1)
    mine: set[str] = set()

    def rename(*uuids: str) -> None:
        """And then there is more of them."""
        exporter.update()
        for uuid in uuids:
            client.set_tag(there()[uuid].info.run_id, "mlflow.runName", "mine")
        mine.update(uuids)
        journal.log_epoch(uuids[-1], epoch)
        journal.flush()
        exporter.update()

    def there() -> dict[str, Run]:
        return runs_of(client, journal.folder)

    trial = journal.begin_trial(spec, Proposal(0, spec.values), ENVIRONMENT)
    repeat = journal.begin_fit(trial, spec, only=False)
    exporter.update()
    (parent,) = there().keys() - {trial, repeat}
    rename(parent, trial, repeat)
    journal.end_fit(repeat, result)
    journal.end_trial(trial, result)
    other = record_trial(journal, make_spec(1), losses(0.25))
    confirmation = journal.begin_confirmation('{"options": {"top": 1}}')
    training = journal.begin_training(confirmation, spec, "#0 · seed 0", "0")
    rename(confirmation, training)
    journal.end_training(training, result)
    race = (Racer(1, (0.25,)), Racer(0, (0.5,)))
    found = Confirmation(
        "runs", "optuna:tpe", confirmation, "val_loss", "min", 1, 0.25, None, (1,), race, None, 1,
        None, None,
    )  # fmt: skip
    journal.end_confirmation(confirmation, found)
    journal.end("FINISHED", "trials", "all are done")
    export(store, "runs")
    check_equal(client, journal.folder)
    names = {uuid: run.info.run_name for uuid, run in there().items()}
    assert names == {**dict.fromkeys(mine, "mine"), other: "#1 · val_loss 0.25 @ epoch 1"}


def test_a_model_that_a_person_deleted_is_left_so(store: Store) -> None:
    export(store)
    client = client_of(store)
    client.delete_registered_model(NAME)
    history = read_study(store, NAME)
    record_verified(history, history.trial(1), "model.fit, not run: no")  # type: ignore[arg-type]
    export(store)
    assert client.search_registered_models() == []
    export(store, again=True)
    check_equal(client, folder_of(store))


def test_a_champion_is_registered_though_its_run_was_deleted(store: Store) -> None:
    """And that of the study, too."""
    export(store)
    client, history = client_of(store), read_study(store, NAME)
    journal = history.writing()
    (first,) = history.journal.champions()
    shutil.copytree(first.folder, history.folder / "champion" / "another")
    facts, other = {"epoch": 1, "value": 0.5}, history.trial(1)
    journal.set_champion(other.uuid, "champion/another", "promoted", alias="champion", facts=facts)
    journal.withdraw(first.number)
    journal.close()
    for uuid, run in runs_of(client, history.folder).items():
        if uuid == other.uuid or run.data.tags["kerastudy.kind"] == "study":
            client.delete_run(run.info.run_id)
    export(store)
    version = client.get_model_version_by_alias(NAME, "champion")
    assert version.tags["kerastudy.trial"] == "1" and version.status == "READY"


def test_a_number_that_is_another_experiments_is_not_taken_for_its_own(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a database was replaced by one that `mlflow gc` has purged."""
    monkeypatch.setattr("tracking.mlflow.exporter.identity_of", lambda client: "")
    for name in (NAME, "repeated"):
        export(store, name)
    client = client_of(store)
    another = experiment_of(client, folder_of(store, "repeated")).experiment_id
    with contextlib.closing(sqlite3.connect(folder_of(store) / "exports.db")) as notes, notes:
        notes.execute("UPDATE destinations SET experiment = ?, revision = 0", (another,))
        notes.execute("DELETE FROM runs")
    launch(store.root, trials=10)
    for name in (NAME, "repeated"):
        export(store, name)
        check_equal(client, folder_of(store, name))


def test_another_champion_takes_the_alias_and_none_leaves_it(store: Store) -> None:
    export(store)
    client, history = client_of(store), read_study(store, NAME)
    journal = history.writing()
    (first,) = history.journal.champions()
    shutil.copytree(first.folder, history.folder / "champion" / "another")
    facts, other = {"epoch": 1, "value": 0.5}, history.trial(1).uuid
    journal.set_champion(other, "champion/another", "promoted", alias="champion", facts=facts)
    journal.withdraw(first.number)
    journal.close()
    export(store)
    check_equal(client, history.folder)
    version = client.get_model_version_by_alias(NAME, "champion")
    assert version.tags["kerastudy.promoted"] == "promoted"
    withdraw_champion(read_study(store, NAME))
    export(store)
    (model,) = client.search_registered_models()
    assert model.aliases == {} and len(client.search_model_versions()) == 2


def test_a_renamed_study_is_renamed_there(store: Store) -> None:
    export(store)
    client = client_of(store)
    history = rename_study(read_study(store, NAME), "셋째, third")
    export(store, "셋째, third")
    check_equal(client, history.folder)
    assert experiment_of(client, history.folder).name == "셋째, third"
    assert [model.name for model in client.search_registered_models()] == ["셋째, third"]
    for run in runs_of(client, history.folder).values():
        texts = (run.info.run_name, run.data.tags.get("mlflow.note.content", ""))
        assert not any(NAME in text for text in texts)


def test_a_deleted_study_is_deleted_there(store: Store) -> None:
    export(store)
    client, folder = client_of(store), folder_of(store)
    # One whose experiment is in the trash already frees its name, too.
    client.delete_experiment(experiment_of(client, folder).experiment_id)
    late = StudyExporter(store, folder)
    delete_study(store, study_size(store, NAME), process.forgetting)
    with pytest.raises(StoreError, match="no study"):
        late.update()
    assert not folder.exists()
    assert client.search_experiments(ViewType.ACTIVE_ONLY) == []
    assert client.search_registered_models() == []
    assert store.folder_of(NAME) is None
    # Its name is free, also in MLflow.
    launch(store.root, trials=3)
    export(store)
    check_equal(client, folder_of(store))
    assert experiment_of(client, folder_of(store)).name == NAME


def test_a_round_reads_what_has_changed_and_not_the_whole_journal(store: Store) -> None:
    history = read_study(store, NAME)
    exporter = StudyExporter(store, history.folder)
    exporter.update(whole=True)
    confirm(history)
    assert history.best is not None
    record_verified(history, history.best, "model.fit, identical")
    with noting_statements() as statements:
        assert exporter.update() > 1
    assert len(statements) > 9
    assert read_whole(history.folder, statements) == []


def test_a_moved_store_fills_mlflow_anew(store: Store, tmp_path: Path) -> None:
    """Since its artifacts' addresses are those of the former place."""
    for name in (NAME, "repeated"):
        export(store, name)
    place = tmp_path / "새 곳" / "other store"
    place.parent.mkdir()
    moved = store_at(store.root.rename(place))
    for name in (NAME, "repeated"):
        export(moved, name)
        check_equal(client_of(moved), folder_of(moved, name))
    for run in runs_of(client_of(moved), folder_of(moved)).values():
        assert run.info.artifact_uri.startswith(moved.artifacts_uri)
        note = run.data.tags.get("mlflow.note.content", "")
        assert str(store.root) not in note
    assert (moved.root / "former-mlflow.db").is_file()


# A destination that does not take what it is sent.


@contextlib.contextmanager
def answering(code: int) -> Iterator[str]:
    """A server that answers everything with a status code."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(code)
            self.end_headers()
            self.wfile.write(b"no")

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Said(NoProgress):
    """What was said, also by other threads."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (507, "does not answer as it should"),
        pytest.param(403, "refuses .* Log in by", marks=pytest.mark.exhaustive),
    ],
)
def test_a_study_goes_on_without_its_server_and_says_so_once(
    store: Store, monkeypatch: pytest.MonkeyPatch, code: int, told: str
) -> None:
    """By the exporter's own process; a full server answers 507."""
    monkeypatch.setenv("KERASTUDY_MLFLOW", "on")
    monkeypatch.setattr(process, "_SECONDS_TO_WAIT", 120)
    said = Said()
    executor = Registering(describe(name=NAME, pruner="median", trials=12))
    with answering(code) as address:
        history = run_study(
            executor, store=store.root, progress=said, tracking_uri=address, report=False
        )
    assert len(history.trials) == 12
    warnings = [line for line in said.lines if "warning" in line]
    assert len(warnings) == 1, said.lines
    assert re.search(told, warnings[0])
    # The store's own MLflow has it all the same.
    check_equal(client_of(store), history.folder)


def test_the_report_is_drawn_though_nobody_reads_the_messages(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the launch has ended, and then the server is away."""
    monkeypatch.setenv("KERASTUDY_MLFLOW", "on")
    folder = folder_of(store)
    with answering(503) as address:
        with contextlib.closing(sqlite3.connect(folder / "journal.db")) as journal, journal:
            journal.execute("UPDATE study SET server = ?", (address,))
        read, write = os.pipe()
        os.close(read)
        subprocess.run([*process.command_for(folder), "--report"], stdout=write, timeout=300)
        os.close(write)
    assert (folder / "report.html").is_file()


def test_what_is_away_gets_the_rest_later(store: Store) -> None:
    with answering(503) as address, pytest.raises(ServerAwayError, match="does not answer"):
        export(store, address=address)
    with pytest.raises(ServerAwayError, match="does not answer"):
        export(store, address=address)
