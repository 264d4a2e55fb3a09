"""A study's record on an MLflow server too: a real one, which is killed and started again."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import kerastudy_here, write_study
from mirrored import Said, check_same, contents
from mlflow_server import MlflowServer, free_port
from scripted import ScriptedExecutor, describe, run_study

from search_spaces import ServerRefusedError, TrackingError
from studies import raising_interrupts
from studies.progress import NoProgress
from tracking.history import StudyHistory, read_study
from tracking.mirror import StudyCopy, check_server, server_of_environment
from tracking.records import TrialSpec
from tracking.registry import withdraw_champion
from tracking.store import open_store
from tracking.ui import Place, serving


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    found = MlflowServer(tmp_path_factory.mktemp("server"))
    found.start()
    yield found
    found.kill()


def launch(
    store: Path,
    name: str,
    address: str | None,
    executor: ScriptedExecutor | None = None,
    said: Said | None = None,
    **settings: Any,
) -> StudyHistory:
    """Runs a study with every kind of end that a trial has."""
    executor = executor or ScriptedExecutor(
        describe(name=name, pruner="median", **{"trials": 8, **settings}), infeasible={2}, lost=[3]
    )
    return run_study(executor, store=store, progress=said or NoProgress(), tracking_uri=address)


def test_the_server_has_what_the_store_has(server: MlflowServer, tmp_path: Path) -> None:
    history = launch(tmp_path / "a store", "everything", server.address, repeats=2)
    assert {trial.state for trial in history.trials} >= {"complete", "infeasible"}
    check_same(history, server)
    assert history.counts()["total"] == 8
    here = history.store.client.get_experiment(history.experiment_id)
    there = server.client.get_experiment_by_name("everything")
    note = there.tags["mlflow.note.content"]
    assert note.startswith("Reported val_loss ") and "[summary](#/experiments/" in note
    [parent] = server.client.search_runs([there.experiment_id], "tags.`kerastudy.kind` = 'study'")
    assert f"#/experiments/{there.experiment_id}/runs/{parent.info.run_id}?" in note
    views = {k: v for k, v in here.tags.items() if k.startswith("mlflow.sharedViewState.")}
    assert len(views) == 3 and views.items() <= there.tags.items()


@pytest.mark.exhaustive
def test_a_study_that_goes_on_goes_on_there(server: MlflowServer, tmp_path: Path) -> None:
    """Without being told again; and no more once it is told so."""
    launch(tmp_path / "store", "goes on", server.address, trials=3)
    more = launch(tmp_path / "store", "goes on", None, trials=6)
    check_same(more, server)
    for asked in ("off", None):
        trials = more.counts()["total"] + 1
        more = launch(tmp_path / "store", "goes on", asked, trials=trials)
        assert len(contents(server.client, "goes on")) < len(contents(more.store.client, "goes on"))


def test_a_server_that_is_away_costs_a_study_nothing(server: MlflowServer, tmp_path: Path) -> None:
    """It is killed between two trials, and comes back some trials later."""
    said = Said()

    def before(spec: TrialSpec) -> None:
        if spec.number == 2:
            server.kill()
        if spec.number == 5:
            said.wait_for("does not answer")
            server.start()

    executor = ScriptedExecutor(describe(name="away", trials=8), before)
    history = launch(tmp_path / "store", "away", server.address, executor, said)
    assert history.counts()["complete"] == 8
    check_same(history, server)


def test_what_a_server_did_not_get_is_pushed(server: MlflowServer, tmp_path: Path) -> None:
    nobody, said = f"http://127.0.0.1:{free_port()}", Said()
    history = launch(tmp_path / "store", "pushed", nobody, said=said)
    assert history.counts()["total"] == 8
    assert "kerastudy push" in said.texts[-1]
    arguments = ("push", "pushed", "--store", "store")
    told = kerastudy_here(*arguments, cwd=tmp_path)
    assert (told.code, told.out) == (2, "")
    assert f"{nobody} does not answer" in told.last
    for sent in ("10", "0"):
        told = kerastudy_here(*arguments, "--tracking-uri", server.address, cwd=tmp_path)
        assert (told.code, told.err) == (0, "")
        assert told.out.startswith(f"{sent} runs of pushed sent")
        check_same(history, server)


def test_a_run_that_was_made_twice_is_there_once(server: MlflowServer, tmp_path: Path) -> None:
    """As when the server's answer to making it was lost."""
    history = launch(tmp_path / "store", "twice", server.address, trials=2)
    experiment = server.client.get_experiment_by_name("twice")
    assert experiment is not None
    for run in server.client.search_runs([experiment.experiment_id]):
        of = {k: v for k, v in run.data.tags.items() if k != "kerastudy.copied"}
        server.client.create_run(experiment.experiment_id, run.info.start_time, of)
    history = launch(tmp_path / "store", "twice", None, trials=2)
    check_same(history, server)


def test_what_is_deleted_on_the_server_is_sent_again(server: MlflowServer, tmp_path: Path) -> None:
    """The parent run too, to which the others then belong."""
    history = launch(tmp_path / "store", "deleted", server.address, trials=2)
    experiment = server.client.get_experiment_by_name("deleted")
    assert experiment is not None
    for run in server.client.search_runs([experiment.experiment_id]):
        if run.data.tags.get("kerastudy.trial") in (None, "1"):
            server.client.delete_run(run.info.run_id)
    told = kerastudy_here("push", "deleted", "--store", "store", cwd=tmp_path)
    assert told.code == 0, told.err
    check_same(history, server)


def test_a_study_renamed_here_or_there_goes_on_in_its_experiment_there(
    server: MlflowServer, tmp_path: Path
) -> None:
    history = launch(tmp_path / "store", "named", server.address, trials=2)
    there = server.client.get_experiment_by_name("named").experiment_id
    history.store.client.rename_experiment(history.experiment_id, "named anew")
    for named, trials in ((None, 3), ("another name", 4)):
        if named is not None:
            server.client.rename_experiment(there, named)
        history = launch(tmp_path / "store", "named anew", None, trials=trials)
        assert history.counts()["total"] == trials
        kind = "tags.`kerastudy.kind` = 'trial'"
        found = server.client.search_runs([there], f"{kind} and attributes.status = 'FINISHED'")
        done = [trial for trial in history.trials if trial.state == "complete"]
        assert len(found) == len(done)
    assert server.client.get_experiment_by_name("named anew") is None


@pytest.mark.exhaustive
def test_a_server_that_shows_the_store_itself_is_refused(tmp_path: Path) -> None:
    """As `kerastudy ui` does: the study would be copied into its own record."""
    history = launch(tmp_path / "store", "itself", None, trials=2)
    before = contents(history.store.client, "itself")
    port = free_port()
    with serving(history.store, Place("127.0.0.1", port), threading.Event()):
        address = f"http://127.0.0.1:{port}"
        told = kerastudy_here("push", "itself", "--store", "store", "--tracking-uri", address,
                         cwd=tmp_path)  # fmt: skip
        assert told.code == 2
        assert "shows this store" in told.last
        with pytest.raises(ServerRefusedError, match="shows this store"):
            launch(tmp_path / "store", "itself", address, trials=3)
        said = Said()
        launch(tmp_path / "store", "another", address, said=said, trials=2)
        assert said.has("shows this store")
    assert contents(history.store.client, "itself") == before
    assert len(contents(history.store.client, "another")) == 3


def test_another_stores_study_of_this_name_is_left_alone(
    server: MlflowServer, tmp_path: Path
) -> None:
    launch(tmp_path / "first", "taken", server.address, trials=2)
    before = contents(server.client, "taken")
    with pytest.raises(ServerRefusedError, match=r"not this store's study.*--name"):
        launch(tmp_path / "second", "taken", server.address, trials=2)
    assert open_store(tmp_path / "second") is None, "nothing is written"
    assert contents(server.client, "taken") == before


def test_a_trained_study_is_there_with_its_champion(server: MlflowServer, tmp_path: Path) -> None:
    """By the command: its output is as ever, and others can load the model from the server."""
    import mlflow

    server.client.create_registered_model("taken too")  # by somebody else
    file = write_study(tmp_path, name='"trained"')
    launching = ("launch", file, "--store", "store", "--executor", "in-process", "--verify", "off")
    told = kerastudy_here(
        *(*launching, "--json"),
        cwd=tmp_path,
        MLFLOW_TRACKING_URI=server.address,
    )
    assert told.code == 0, told.err
    assert f'"server": "{server.address}"' in told.out
    assert "MLflow server" in " ".join(told.err.split()) and "warning" not in told.err
    version = server.client.get_model_version_by_alias("trained", "champion")
    run = server.client.get_run(version.tags["kerastudy.champion_run"])
    assert run.info.status == "FINISHED"
    assert run.data.tags["kerastudy.trial"] == version.tags["kerastudy.trial"]
    verdict = json.loads(told.out)["verdict"]["text"]
    assert version.tags["kerastudy.verdict"] == verdict
    parent = server.client.get_run(version.run_id or "")
    assert parent.outputs.model_outputs[0].model_id in version.source
    files = [f.path for f in server.client.list_artifacts(parent.info.run_id, "study")]
    assert files == ["study/code", "study/data.json", "study/definition.json"]
    mlflow.set_tracking_uri(server.address)
    try:
        model = mlflow.keras.load_model("models:/trained@champion")
    finally:
        mlflow.set_tracking_uri(None)
    assert model.count_params() == 15
    told = kerastudy_here(
        *(*launching, "--name", "taken too", "--trials", "1", "--tracking-uri", server.address),
        cwd=tmp_path,
    )
    refused = "registered model 'taken too' that is not"
    assert told.code == 0 and refused in " ".join(told.err.split())
    assert not server.client.search_model_versions("name = 'taken too'")
    shown = kerastudy_here("show", "trained", "--store", "store", cwd=tmp_path)
    assert f"also at    {server.address}" in shown.out

    store = open_store(tmp_path / "store")
    assert store is not None
    withdraw_champion(read_study(store, "trained"))
    copy = StudyCopy(store, "trained", server.address)
    copy.open()
    copy.send_champion()
    there = server.client.get_registered_model("trained")
    assert there.latest_versions and not there.aliases


@pytest.mark.parametrize(
    "address", ["", "mlflow.db", "sqlite:///mlflow.db", "http://", "ftp://a.org", "http://a:b:c"]
)
def test_what_is_no_server_is_refused(address: str) -> None:
    with pytest.raises(TrackingError, match="must be the address of an MLflow server"):
        check_server(address)


def test_a_password_is_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:secret@mlflow.example.org")
    with pytest.raises(TrackingError, match="MLFLOW_TRACKING_PASSWORD") as raised:
        server_of_environment()
    assert "secret" not in str(raised.value)


def test_a_variable_that_names_no_server_is_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    assert server_of_environment() is None


class Impatient(Said):
    """Its user's session is ended while the last of the study is sent."""

    def say(self, text: str) -> None:
        super().say(text)
        if "sending the rest" in text:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.exhaustive
def test_sigterm_leaves_what_is_left_to_send_for_later(tmp_path: Path) -> None:
    """As Ctrl-C does; what the study came to is recorded by then."""
    said = Impatient()
    with socket.socket() as silent, raising_interrupts():
        silent.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        # From the first trial on it takes connections, and never answers.
        executor = ScriptedExecutor(describe(name="unsent"), lambda spec: silent.listen())
        history = launch(tmp_path / "store", "unsent", address, executor, said)
    assert said.has("has not got all of this study (interrupted)"), said.texts
    assert (history.status, history.ended_by) == ("FINISHED", "trials")
    parent = history.store.client.get_run(history.parent_run_id)
    assert parent.info.status == "FINISHED"
