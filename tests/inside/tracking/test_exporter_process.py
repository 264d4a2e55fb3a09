"""The exporter's process beside a launch: it sends ended trials, and no server delays a study."""

import contextlib
import http.server
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from doctored import Said
from exported import check_equal, runs_of
from in_mlflow import wait_for_exporters
from scripted import ScriptedExecutor, describe, run_study

from search_spaces import ServerAwayError
from tracking.mlflow import StudyExporter, exporter_process, open_store_client
from tracking.records import TrialSpec
from tracking.store import Store

SECONDS_AT_MOST = 120


@pytest.fixture(autouse=True)
def on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERASTUDY_MLFLOW", "on")


@contextlib.contextmanager
def server(code: int, before: Callable[[], object] = lambda: None) -> Iterator[str]:
    """Runs a server that answers each request with a status code. Yields its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            before()
            self.send_error(code)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def finished(store: Store, folder: Path) -> set[str]:
    """Returns the numbers of the trials that are finished in MLflow."""
    if not (store.root / "mlflow.db").exists():
        return set()
    try:
        runs = runs_of(open_store_client(store), folder).values()
    except ValueError:
        # MLflow does not have the experiment yet.
        return set()
    return {
        run.data.tags["kerastudy.trial"]
        for run in runs
        if run.data.tags["kerastudy.kind"] == "trial" and run.info.status == "FINISHED"
    }


def test_a_launch_ends_while_a_server_does_not_answer(
    new_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The launch says that MLflow is still being written. The exporter goes on after its end."""
    monkeypatch.setattr(exporter_process, "_SECONDS_TO_WAIT", 0.5)
    progress, asked, may_answer = Said(), threading.Event(), threading.Event()

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
            executor, store=new_store.root, progress=progress, tracking_uri=address, report=False
        )
        assert in_time == [True] and not may_answer.is_set()
        assert history.counts()["complete"] == 3
        assert "still being written, in the background: MLflow" in progress.lines
        may_answer.set()
        wait_for_exporters()
    check_equal(open_store_client(new_store), history.folder)


def test_ended_trials_are_in_mlflow_while_the_study_runs_though_its_server_fails(
    new_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store's own MLflow has them. The launch warns once, and a push raises the same error."""
    monkeypatch.setattr(exporter_process, "_SECONDS_TO_WAIT", SECONDS_AT_MOST)
    trials: set[str] = set()

    def wait_for_the_first(spec: TrialSpec) -> None:
        ends = time.monotonic() + SECONDS_AT_MOST
        while spec.number == 2 and not {"0", "1"} <= trials:
            assert time.monotonic() < ends, trials
            trials.update(finished(new_store, new_store.root / "alone"))
            time.sleep(0.1)

    progress, reason = Said(), "does not answer as it should"
    executor = ScriptedExecutor(describe(name="alone", trials=3), wait_for_the_first)
    # A server whose disk is full answers with this status.
    with server(507) as address:
        history = run_study(
            executor, store=new_store.root, progress=progress, tracking_uri=address, report=False
        )
        assert trials == {"0", "1"} and history.counts()["complete"] == 3
        (warning,) = [line for line in progress.lines if "warning: The MLflow server" in line]
        assert reason in warning and "later: kerastudy push alone --store" in warning
        check_equal(open_store_client(new_store), history.folder)
        with pytest.raises(ServerAwayError, match=reason):
            StudyExporter(new_store, history.folder, address).update(whole=True)
