"""The exporter sends a journal to MLflow once, whatever was killed, deleted, renamed or lost."""

import contextlib
import itertools
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from exported import WatchedClient, check_equal, experiment_of, runs_of
from handmade import ENVIRONMENT, losses, make_result, make_spec, record_confirmation, record_trial
from mlflow.entities import ViewType
from scripted import WithModel, describe, run_study
from statements import noting_statements, read_whole
from stores import store_at

import kerastudy as ks
from search_spaces import SearchSpace, StoreError
from tracking.history import (
    StudyHistory,
    delete_study,
    read_study,
    record_verified,
    study_size,
    withdraw_champion,
)
from tracking.journal import Journal
from tracking.mlflow import StudyExporter, exporter_process
from tracking.mlflow import open_store_client as client_of
from tracking.records import EpochResult, Proposal, Racer
from tracking.store import Store, create_store

NAME = "everything"


def launch(root: Path, name: str = NAME, trials: int = 8, **settings: Any) -> StudyHistory:
    """Runs a study with every kind of end that a trial has."""
    description = describe(name=name, pruner="median", trials=trials, **settings)
    executor = WithModel(description, infeasible={2}, lost=[3])
    return run_study(executor, store=root)


def confirm(history: StudyHistory) -> None:
    """Records a confirmation that has ended, and one that was killed."""
    journal = history.writing()
    race = (Racer(1, (0.25, None)), Racer(0, (0.5,)))
    record_confirmation(journal, NAME, race, [make_spec(seed + 2, confirms=1) for seed in (0, 1)])
    uuid = journal.begin_confirmation('{"options": {"top": 3}}')
    training = journal.begin_training(uuid, make_spec(2, confirms=1), "killed")
    journal.log_epoch(training, EpochResult(2, 1, {"val_loss": 0.5}, 0.1))
    journal.close()


@pytest.fixture(scope="module")
def launched_folder(empty_store_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with two studies, and MLflow's database without them, which takes seconds to make."""
    root = tmp_path_factory.mktemp("made") / "store"
    shutil.copytree(empty_store_folder, root)
    history = launch(root)
    record_verified(history, history.best, "model.fit, identical in 4 of 4 epochs")
    confirm(history)
    launch(root, "repeated", trials=3, repeats=2)
    assert StudyExporter(create_store(root), history.folder).destination.client
    assert not list(root.glob("*partial*"))
    return root


@pytest.fixture
def store(launched_folder: Path, tmp_path: Path) -> Store:
    shutil.copytree(launched_folder, tmp_path / "a store")
    return store_at(tmp_path / "a store")


def export(store: Store, name: str = NAME) -> int:
    return StudyExporter(store, folder_of(store, name)).update(whole=True)


def check(store: Store, name: str = NAME) -> None:
    """Exports a study. Fails if MLflow then differs from the journal."""
    export(store, name)
    check_equal(client_of(store), folder_of(store, name))


def folder_of(store: Store, name: str = NAME) -> Any:
    return store.folder_of(name)


def dumped(store: Store) -> list[str]:
    with contextlib.closing(sqlite3.connect(store.root / "mlflow.db")) as database:
        return [*database.iterdump()]


@pytest.mark.parametrize("name", [NAME, "repeated"])
def test_everything_is_sent_and_nothing_twice(store: Store, name: str) -> None:
    assert export(store, name) > 2
    check_equal(client_of(store), folder_of(store, name))
    experiment = experiment_of(client_of(store), folder_of(store, name))
    assert experiment.name == name
    assert experiment.tags["mlflow.note.content"].startswith("Expect: unknown so far: ")
    assert len([tag for tag in experiment.tags if tag.startswith("mlflow.sharedViewState.")]) == 3
    before = dumped(store)
    assert export(store, name) == 0
    assert dumped(store) == before


def test_each_update_sends_the_progress_of_a_running_study(store: Store) -> None:
    """The worker of a trial is lost, and the trial is tried again."""
    journal = Journal.begin(store.root / "runs", describe(name="runs"))
    exporter = StudyExporter(store, journal.folder)
    spec = make_spec()

    def update() -> None:
        journal.flush()
        exporter.update()
        check_equal(client_of(store), journal.folder)

    update()
    for attempt in (1, 2):
        spec = make_spec(attempt=attempt)
        uuid = journal.begin_trial(spec, Proposal(0, spec.values), ENVIRONMENT)
        journal.begin_fit(uuid, spec, only=True)
        update()
        for epoch in (1, 2):
            journal.log_epoch(uuid, EpochResult(0, epoch, {"val_loss": 0.5 / epoch}, 0.1))
            update()
        if attempt == 1:
            journal.lose_trial(uuid, 1)
            update()
    journal.end_trial(uuid, make_result(spec, losses(0.5, 0.25)))
    record_trial(journal, make_spec(1), losses(0.125))
    update()
    journal.end("FINISHED", "trials", "all are done")
    update()
    runs = runs_of(client_of(store), journal.folder).values()
    (parent,) = [run for run in runs if run.data.tags["kerastudy.kind"] == "study"]
    # The step of a best value is the number of trials that had ended.
    best = client_of(store).get_metric_history(parent.info.run_id, "study/best_val_loss")
    assert [(point.step, point.value) for point in best] == [(1, 0.25), (2, 0.125)]


def test_an_update_without_changes_sends_no_request(store: Store) -> None:
    exporter, calls = StudyExporter(store, folder_of(store)), list[str]()
    WatchedClient(exporter, lambda name, after: calls.append(name))
    exporter.update(whole=True)
    assert calls
    calls.clear()
    assert exporter.update() == 0 and calls == []
    (folder_of(store) / "report.html").write_text("A report.")
    assert exporter.update() == 0 and "log_artifact" in calls
    calls.clear()
    assert exporter.update() == 0 and calls == []
    launch(store.root, trials=10)
    assert exporter.update() > 0
    check_equal(client_of(store), folder_of(store))


def test_a_large_trial_arrives_whole(store: Store) -> None:
    """Its metrics, params and tags are more than MLflow takes in one request."""
    space = SearchSpace(*(ks.Float(f"p{i}", 0, 1) for i in range(150)))
    description = describe(name="large", space=space)
    journal = Journal.begin(store.root / "large", description)
    spec = make_spec(values={name: 0.5 for name in space.dimensions}, epochs=2000)
    trial = journal.begin_trial(spec, Proposal(0, spec.values), ENVIRONMENT)
    journal.begin_fit(trial, spec, only=True)
    curve = losses(*(1 / epoch for epoch in range(1, 2001)))
    for epoch, metrics in enumerate(curve, start=1):
        journal.log_epoch(trial, EpochResult(0, epoch, metrics, 0.1))
    noted = {f"n{i}": i for i in range(150)}
    journal.end_trial(trial, replace(make_result(spec, curve), user_attrs=noted))
    journal.end("FINISHED", "trials", "all are done")
    check(store, "large")
    tagged = runs_of(client_of(store), journal.folder)[trial].data.tags
    assert [tagged[f"user_attrs.{name}"] for name in noted] == [*map(str, noted.values())]


class Killed(BaseException):
    """Raised where the process would be killed."""


def killed_at(store: Store, name: str, at: int, *, after: bool) -> bool:
    """Sends a study until a call of MLflow's client. Returns False if there are fewer calls."""
    exporter, countdown = StudyExporter(store, folder_of(store, name)), [at]

    def kill(name: str, is_after: bool) -> None:
        countdown[0] -= is_after == after
        if not countdown[0] and is_after == after:
            raise Killed

    WatchedClient(exporter, kill)
    try:
        exporter.update(whole=True)
    except Killed:
        return True
    return False


@pytest.mark.parametrize(("name", "after"), [(NAME, True), ("repeated", False)])
def test_an_exporter_killed_at_each_call_sends_all_once(
    store: Store, name: str, after: bool
) -> None:
    calls = next(n for n in itertools.count(1) if not killed_at(store, name, n, after=after))
    assert calls > 10
    check(store, name)


def test_lost_or_damaged_notes_and_a_lost_database_are_made_anew(store: Store) -> None:
    exporter = StudyExporter(store, folder_of(store))
    exporter.update(whole=True)
    (folder_of(store) / "exports.db").unlink()
    launch(store.root, trials=10)
    check(store)
    (folder_of(store) / "exports.db").write_bytes(b"no database " * 99)
    check(store)
    for path in store.root.glob("mlflow.db*"):
        path.unlink()
    check(store)


def purge(store: Store) -> None:
    from mlflow.cli import gc

    runner = CliRunner(env={"MLFLOW_TRACKING_URI": store.mlflow_uri})
    result = runner.invoke(gc, ["--backend-store-uri", store.mlflow_uri])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("purged", [False, True])
def test_what_a_person_deleted_is_not_made_again(store: Store, purged: bool) -> None:
    """The person deletes a model, a run and the experiment. `mlflow gc` may have purged them."""
    export(store)
    client, folder = client_of(store), folder_of(store)
    client.delete_registered_model(NAME)
    uuid = read_study(store, NAME).trial(1).uuid
    client.delete_run(runs_of(client, folder)[uuid].info.run_id)
    if purged:
        purge(store)
    history = launch(store.root, trials=10)
    record_verified(history, history.trial(1), "model.fit, not run: no")  # type: ignore[arg-type]
    export(store)
    runs = runs_of(client, folder)
    assert uuid not in runs if purged else runs[uuid].info.lifecycle_stage == "deleted"
    assert client.search_registered_models() == []
    client.delete_experiment(experiment_of(client, folder).experiment_id)
    if purged:
        purge(store)
    assert len(launch(store.root, trials=11).trials) == 11
    assert export(store) == 0
    assert client.search_experiments(ViewType.ACTIVE_ONLY) == []


def test_what_a_person_renamed_keeps_its_name(store: Store) -> None:
    export(store)
    client, folder = client_of(store), folder_of(store)
    experiment = experiment_of(client, folder).experiment_id
    client.rename_experiment(experiment, "mine")
    client.set_experiment_tag(experiment, "mlflow.note.content", "Mine.")
    history = read_study(store, NAME)
    run = runs_of(client, folder)[history.best.uuid].info.run_id
    client.set_tag(run, "mlflow.runName", "my best")
    client.rename_registered_model(NAME, "my model")
    record_verified(history, history.best, "model.fit, not run: no")
    launch(store.root, trials=10)
    check(store)
    assert experiment_of(client, folder).name == "mine"
    assert experiment_of(client, folder).tags["mlflow.note.content"] == "Mine."
    assert client.get_run(run).info.run_name == "my best"
    assert [model.name for model in client.search_registered_models()] == ["my model"]


def marked(store: Store) -> list[str]:
    """Returns the names of runs that are marked as the champion's."""
    runs = runs_of(client_of(store), folder_of(store)).values()
    return [run.info.run_name for run in runs if "champion" in run.info.run_name]


def test_a_champion_that_is_withdrawn_loses_the_alias(store: Store) -> None:
    export(store)
    champion = read_study(store, NAME).champion
    assert champion is not None and marked(store) == [f"#{champion.number} champion"]
    withdraw_champion(read_study(store, NAME))
    export(store)
    assert marked(store) == []
    (model,) = client_of(store).search_registered_models()
    assert model.aliases == {} and len(client_of(store).search_model_versions()) == 1


def test_a_copy_of_the_champion_is_a_persons_own(store: Store) -> None:
    """MLflow's UI copies a version by "Promote model", with its tags."""
    export(store)
    client, history = client_of(store), read_study(store, NAME)
    first = history.journal.champion()
    shutil.copytree(first.folder, history.folder / "champion" / "another")
    journal = history.writing()
    journal.set_champion(history.trial(1).uuid, "champion/another", "promoted")
    journal.close()
    check(store)
    version = client.get_model_version_by_alias(NAME, "champion")
    assert version.tags["kerastudy.promoted"] == "promoted"
    assert marked(store) == ["#1 champion"]
    client.copy_model_version(f"models:/{NAME}@champion", "production")
    before = client.get_model_version("production", "1")
    record_verified(history, history.trial(1), "model.fit, not run: no")  # type: ignore[arg-type]
    check(store)
    assert int(client.get_model_version_by_alias(NAME, "champion").version) == 2
    client.delete_registered_model(NAME)
    export(store)
    assert [model.name for model in client.search_registered_models()] == ["production"]
    assert dict(client.get_model_version("production", "1")) == dict(before)


@pytest.mark.parametrize("whole", [False, True])
def test_without_notes_a_purged_run_or_experiment_leaves_one_version(
    store: Store, whole: bool
) -> None:
    export(store)
    client, folder = client_of(store), folder_of(store)
    experiment = experiment_of(client, folder).experiment_id
    (parent,) = client.search_runs([experiment], "tags.`kerastudy.kind` = 'study'")
    if whole:
        client.delete_experiment(experiment)
    else:
        client.delete_run(parent.info.run_id)
    purge(store)
    (folder / "exports.db").unlink()
    export(store)
    (version,) = client.search_model_versions()
    (logged,) = client.search_logged_models([experiment_of(client, folder).experiment_id])
    assert version.source == logged.artifact_location


def test_a_deleted_study_is_deleted_there(store: Store) -> None:
    export(store)
    client, folder = client_of(store), folder_of(store)
    # A person has moved the experiment to the trash. The deletion frees its name all the same.
    client.delete_experiment(experiment_of(client, folder).experiment_id)
    late = StudyExporter(store, folder)
    delete_study(store, study_size(store, NAME), exporter_process.forgetting)
    with pytest.raises(StoreError, match="no study"):
        late.update()
    assert not folder.exists()
    assert client.search_experiments(ViewType.ACTIVE_ONLY) == []
    assert client.search_registered_models() == []
    assert store.folder_of(NAME) is None
    # The name is free for a new study, also in MLflow.
    launch(store.root, trials=3)
    check(store)
    assert experiment_of(client, folder_of(store)).name == NAME


def test_a_replaced_definition_leaves_no_run(store: Store) -> None:
    """A study without a finished trial may be launched with another definition."""
    for epochs in (3, 4):
        described = describe(name="given up", epochs=epochs)
        journal = Journal.begin(store.root / "given up", described)
        if epochs == 3:
            record_trial(journal, make_spec(), losses(0.5), "running")
        journal.close()
        export(store, "given up")
    client = client_of(store)
    (run,) = client.search_runs([experiment_of(client, journal.folder).experiment_id])
    assert run.data.params["epochs"] == "4"


def test_runs_that_a_restored_journal_lacks_are_left_alone(store: Store) -> None:
    folder, said = store.root / "restored", list[str]()
    journal = Journal.begin(folder, describe(name="restored"))
    uuids = [record_trial(journal, make_spec(), losses(0.5))]
    journal.close()
    backup = (folder / "journal.db").read_bytes()
    for number in (1, 2, 3):
        journal = Journal(folder, describe(name="restored"))
        uuids.append(record_trial(journal, make_spec(number), losses(0.4)))
        journal.close()
    StudyExporter(store, folder).update()
    (folder / "journal.db").write_bytes(backup)
    journal = Journal(folder, describe(name="restored"))
    uuids.append(record_trial(journal, make_spec(1), losses(0.3)))
    journal.close()
    for _ in range(2):
        StudyExporter(store, folder, say=said.append).update(whole=True)
    (line,) = said
    assert line.startswith("warning: 3 runs of restored in the MLflow database ")
    runs = runs_of(client_of(store), folder)
    assert set(uuids) < set(runs)
    assert all(run.info.lifecycle_stage == "active" for run in runs.values())


def test_an_update_reads_only_changed_rows_of_the_journal(store: Store) -> None:
    history = read_study(store, NAME)
    exporter = StudyExporter(store, history.folder)
    exporter.update(whole=True)
    record_verified(history, history.best, "model.fit, identical")
    with noting_statements() as statements:
        assert exporter.update() == 1
    assert len(statements) > 9
    assert read_whole(history.folder, statements) == []


def test_a_killed_launch_does_not_keep_the_reason_of_an_earlier_end(store: Store) -> None:
    export(store)
    journal = read_study(store, NAME).writing()
    journal.set_running()
    journal.end("KILLED", "", "")
    check(store)
    runs = runs_of(client_of(store), folder_of(store)).values()
    (parent,) = [run for run in runs if run.data.tags["kerastudy.kind"] == "study"]
    assert (parent.info.status, parent.data.tags["kerastudy.stopped"]) == ("KILLED", "")


def test_a_moved_store_fills_mlflow_anew(store: Store, tmp_path: Path) -> None:
    """The former MLflow database has addresses of artifacts in the former folder."""
    for name in (NAME, "repeated"):
        export(store, name)
    place = tmp_path / "새 곳" / "other store"
    place.parent.mkdir()
    moved = store_at(store.root.rename(place))
    for name in (NAME, "repeated"):
        check(moved, name)
    for run in runs_of(client_of(moved), folder_of(moved)).values():
        assert run.info.artifact_uri.startswith(moved.artifacts_uri)
        note = run.data.tags.get("mlflow.note.content", "")
        assert str(store.root) not in note
    assert (moved.root / "former-mlflow.db").is_file()
