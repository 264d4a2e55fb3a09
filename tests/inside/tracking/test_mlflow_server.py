"""A real MLflow server, which is killed and started again; the UI behind a token."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from blobs import write_study
from exported import check_equal, experiment_of
from mlflow import MlflowClient
from mlflow_server import MlflowServer, free_port
from scripted import ScriptedExecutor, describe, run_study
from stores import store_at
from user_commands import kerastudy_here

from search_spaces import ServerAwayError, ServerRefusedError, StoreError, TrackingError
from studies.progress import NoProgress
from tracking.history import StudyHistory, read_study
from tracking.mlflow import (
    Place,
    StudyExporter,
    behind_token,
    check_server,
    free_place,
    open_client,
    process,
    server_of_environment,
    serving,
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    found = MlflowServer(tmp_path_factory.mktemp("server"))
    found.start()
    yield found
    found.kill()


def launch(store: Path, name: str, **settings: Any) -> StudyHistory:
    """Runs a study with every kind of end that a trial has; it is sent nowhere."""
    description = describe(name=name, pruner="median", **{"trials": 8, **settings})
    executor = ScriptedExecutor(description, infeasible={2}, lost=[3])
    return run_study(executor, store=store, progress=NoProgress())


def export(history: StudyHistory, server: MlflowServer) -> int:
    return StudyExporter(history.store, history.folder, server.address).update(whole=True)


def test_the_server_has_what_the_journal_has(server: MlflowServer, tmp_path: Path) -> None:
    """Also of a study that goes on, and of another store's study of the same name."""
    history = launch(tmp_path / "first", "the same", repeats=2)
    assert export(history, server) == 9
    check_equal(server.client, history.folder)
    assert export(history, server) == 0
    other = launch(tmp_path / "second", "the same", trials=3)
    export(other, server)
    check_equal(server.client, other.folder)
    history = launch(tmp_path / "first", "the same", trials=10, repeats=2)
    export(history, server)
    check_equal(server.client, history.folder)
    names = [experiment_of(server.client, each.folder).name for each in (history, other)]
    assert names == ["the same", "the same (2)"]


class Dying:
    """MLflow's client, whose server is killed before one of its calls."""

    def __init__(self, server: MlflowServer, at: int) -> None:
        self._server, self._left = server, at
        self._client = open_client(server.address)

    def __getattr__(self, name: str) -> Any:
        def called(*arguments: Any, **options: Any) -> Any:
            self._left -= 1
            if not self._left:
                self._server.kill()
            return getattr(self._client, name)(*arguments, **options)

        return called


@pytest.mark.exhaustive
@pytest.mark.parametrize("at", [4, 9, 25])
def test_a_server_that_dies_gets_the_rest(server: MlflowServer, tmp_path: Path, at: int) -> None:
    history = launch(tmp_path / "store", f"dies at {at}")
    exporter = StudyExporter(history.store, history.folder, server.address)
    exporter.destination.client = Dying(server, at)  # type: ignore[assignment]
    with pytest.raises(ServerAwayError, match="does not answer"):
        exporter.update(whole=True)
    server.start()
    export(history, server)
    check_equal(server.client, history.folder)


def test_what_a_server_did_not_get_is_pushed(server: MlflowServer, tmp_path: Path) -> None:
    history = launch(tmp_path / "store", "pushed")
    nobody = f"http://127.0.0.1:{free_port()}"
    arguments = ("push", "pushed", "--store", "store", "--tracking-uri")
    told = kerastudy_here(tmp_path, *arguments, nobody, expect=2)
    assert told.stdout == ""
    assert f"{nobody} does not answer" in told.last
    for sent in ("9", "0"):
        told = kerastudy_here(tmp_path, *arguments, server.address)
        assert told.stderr == ""
        assert told.stdout.startswith(f"{sent} runs of pushed sent")
        check_equal(server.client, history.folder)
    server.client.delete_experiment(experiment_of(server.client, history.folder).experiment_id)
    told = kerastudy_here(tmp_path, *arguments, server.address, expect=None)
    assert told.returncode == 2 and "--again" in told.last
    told = kerastudy_here(tmp_path, *arguments, server.address, "--again")
    check_equal(server.client, history.folder)


@pytest.mark.exhaustive
def test_a_server_that_shows_the_store_itself_is_refused(tmp_path: Path) -> None:
    """As `kerastudy ui` does: the study would be there twice."""
    history = launch(tmp_path / "store", "itself", trials=2)
    StudyExporter(history.store, history.folder).update(whole=True)
    port = free_port()
    with serving(history.store, Place("127.0.0.1", port), threading.Event()):
        address = f"http://127.0.0.1:{port}"
        with pytest.raises(ServerRefusedError, match="shows this store"):
            StudyExporter(history.store, history.folder, address).update(whole=True)
    check_equal(MlflowClient(history.store.mlflow_uri), history.folder)


def test_a_trained_study_is_there_with_its_champion(
    server: MlflowServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the command: its output is as ever, and others can load the model from the server."""
    import mlflow

    # Of another study, or a person's.
    server.client.create_registered_model("trained")
    monkeypatch.setattr(process, "_SECONDS_TO_WAIT", 120)
    file = write_study(tmp_path, name='"trained"')
    told = kerastudy_here(
        tmp_path,
        *("launch", file, "--store", "store", "--executor", "in-process", "--verify", "off"),
        "--json",
        MLFLOW_TRACKING_URI=server.address,
        KERASTUDY_MLFLOW="on",
    )
    assert f'"server": "{server.address}"' in told.stdout
    assert "warning" not in told.stderr
    store = store_at(tmp_path / "store")
    history = read_study(store, "trained")
    for client in (server.client, MlflowClient(store.mlflow_uri, store.mlflow_uri)):
        check_equal(client, history.folder)
    version = server.client.get_model_version_by_alias("trained (2)", "champion")
    assert version.tags["kerastudy.verdict"] == json.loads(told.stdout)["verdict"]["text"]
    files = [f.path for f in server.client.list_artifacts(version.run_id or "", "study")]
    assert files == ["study/code", "study/definition.json"]
    mlflow.set_tracking_uri(server.address)
    try:
        model = mlflow.keras.load_model("models:/trained (2)@champion")
    finally:
        mlflow.set_tracking_uri(None)
    assert model.count_params() == 15
    shown = kerastudy_here(tmp_path, "show", "trained", "--store", "store")
    assert f"also at    {server.address}" in shown.stdout


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


TOKEN = "a-token_1"


def asked(path: str = "/", query: str = "", kind: str = "http", **headers: str) -> dict[str, Any]:
    """Asks the guarded app; returns its first message, or that it passed the question on."""
    sent: list[dict[str, Any]] = []

    async def behind(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "passed"})

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": kind,
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.encode(), text.encode("latin-1")) for name, text in headers.items()],
        "server": ("127.0.0.1", 5000),
    }
    asyncio.run(behind_token(behind, TOKEN)(scope, None, send))  # type: ignore[arg-type]
    return sent[0]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": ""},
        {"authorization": "Bearer é"},
        {"cookie": "kerastudy-token-5000=wrong"},
        {"cookie": f"kerastudy-token-5001={TOKEN}"},
        {"cookie": "\x00;=;=\x7f"},
    ],
)
def test_without_the_token_nothing_is_answered(headers: dict[str, str]) -> None:
    for path in ("/", "/ajax-api/2.0/mlflow/experiments/search", "/get-artifact", "//health"):
        assert asked(path, "token=wrong&token=", **headers)["status"] == 401
    assert asked(kind="websocket", **headers)["type"] == "websocket.close"


def test_the_token_is_a_header_or_a_cookie_and_the_address_gives_the_cookie() -> None:
    assert asked(authorization=f"Bearer {TOKEN}")["type"] == "passed"
    first = asked("//elsewhere.example", f"token={TOKEN}")
    headers = dict(first["headers"])
    assert (first["status"], headers[b"location"]) == (303, b"/")
    cookie = headers[b"set-cookie"].decode()
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie
    given = f"other=1; {cookie.partition(';')[0]}"
    assert asked("/get-artifact", cookie=given)["type"] == "passed"
    assert asked(kind="websocket", cookie=given)["type"] == "passed"


def test_other_machines_always_need_one() -> None:
    assert free_place().token == free_place("localhost").token == ""
    assert "token=" not in free_place().studies_page
    assert free_place(token=True).token
    everywhere = free_place("0.0.0.0")
    assert len(everywhere.token) >= 32
    assert f"/?token={everywhere.token}#/" in everywhere.study_page("1", "trials")
    assert everywhere.token not in everywhere.address
    # An address that is kept for documentation (RFC 5737) is no machine's.
    with pytest.raises(StoreError, match="can't listen on '203"):
        free_place("203.0.113.9")
