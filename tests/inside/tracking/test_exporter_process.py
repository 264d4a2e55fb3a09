"""MLflow beside a launch: filled while trials run; a server that fails delays nobody."""

from __future__ import annotations

import contextlib
import http.server
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from doctored import Said
from exported import check_equal, runs_of
from in_mlflow import client_of, wait_for_exporters
from scripted import ScriptedExecutor, describe, run_study

from search_spaces import ServerAwayError
from tracking.mlflow import StudyExporter, exporter_process
from tracking.records import TrialSpec
from tracking.store import Store

SECONDS_AT_MOST = 120


@pytest.fixture(autouse=True)
def on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERASTUDY_MLFLOW", "on")


@contextlib.contextmanager
def server(code: int, before: Callable[[], object] = lambda: None) -> Iterator[str]:
    """A server that answers everything with a status code; yields its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            before()
            self.send_error(code)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{made.server_port}"
        made.shutdown()


def finished(store: Store, folder: Path) -> set[str]:
    """The numbers of the trials that MLflow shows as finished."""
    if not (store.root / "mlflow.db").exists():
        return set()
    try:
        runs = runs_of(client_of(store), folder).values()
    except ValueError:
        # The study itself is not there yet.
        return set()
    return {
        run.data.tags["kerastudy.trial"]
        for run in runs
        if run.data.tags["kerastudy.kind"] == "trial" and run.info.status == "FINISHED"
    }


def test_a_launch_ends_without_an_answer(new_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what is left, and the exporter goes on when it has ended."""
    monkeypatch.setattr(exporter_process, "_SECONDS_TO_WAIT", 0.5)
    said, asked, may_answer = Said(), threading.Event(), threading.Event()

    def hold() -> None:
        asked.set()
        may_answer.wait()

    with server(503, hold) as address:
        in_time: list[bool] = []

        def wait_until_asked(spec: TrialSpec) -> None:
            if spec.number == 1:
                in_time.append(asked.wait(SECONDS_AT_MOST))

        executor = ScriptedExecutor(describe(name="waiting", trials=3), wait_until_asked)
        history = run_study(
            executor, store=new_store.root, progress=said, tracking_uri=address, report=False
        )
        assert in_time == [True] and not may_answer.is_set()
        assert history.counts()["complete"] == 3
        assert "still being written, in the background: MLflow" in said.lines
        may_answer.set()
        wait_for_exporters()
    check_equal(client_of(new_store), history.folder)


@pytest.mark.parametrize(
    ("code", "told"),
    [
        # A full server answers so.
        (507, "does not answer as it should"),
        pytest.param(403, "refuses", marks=pytest.mark.exhaustive),
    ],
)
def test_ended_trials_are_in_mlflow_while_the_study_runs_though_its_server_fails(
    new_store: Store, monkeypatch: pytest.MonkeyPatch, code: int, told: str
) -> None:
    """In the store's own. What the server lacks is said once; a push says the same."""
    monkeypatch.setattr(exporter_process, "_SECONDS_TO_WAIT", SECONDS_AT_MOST)
    seen: set[str] = set()

    def wait_for_the_first(spec: TrialSpec) -> None:
        ends = time.monotonic() + SECONDS_AT_MOST
        while spec.number == 2 and not {"0", "1"} <= seen:
            assert time.monotonic() < ends, seen
            seen.update(finished(new_store, new_store.root / "alone"))
            time.sleep(0.1)

    said = Said()
    executor = ScriptedExecutor(describe(name="alone", trials=3), wait_for_the_first)
    with server(code) as address:
        history = run_study(
            executor, store=new_store.root, progress=said, tracking_uri=address, report=False
        )
        assert seen == {"0", "1"} and history.counts()["complete"] == 3
        (warning,) = [line for line in said.lines if "warning: The MLflow server" in line]
        assert told in warning
        check_equal(client_of(new_store), history.folder)
        if code == 507:
            with pytest.raises(ServerAwayError, match=told):
                StudyExporter(new_store, history.folder, address).update(whole=True)
