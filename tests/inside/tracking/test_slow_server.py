"""MLflow beside a launch: filled while trials run; a server that is slow delays nobody."""

from __future__ import annotations

import contextlib
import http.server
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from exported import check_equal, runs_of
from in_mlflow import client_of, wait_for_exporters
from scripted import ScriptedExecutor, describe, run_study

from studies.progress import NoProgress
from tracking.mlflow import process
from tracking.records import TrialSpec
from tracking.store import Store

SECONDS_AT_MOST = 120


class Said(NoProgress):
    """Keeps what is said, also by other threads."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


@contextlib.contextmanager
def silent_server() -> Iterator[tuple[str, threading.Event, threading.Event]]:
    """A server that answers nothing before it may; its address, whether it was asked, and that."""
    asked, may_answer = threading.Event(), threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.set()
            may_answer.wait()
            self.send_error(503)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked, may_answer
        finally:
            may_answer.set()
            server.shutdown()


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


def test_an_ended_trial_is_in_mlflow_while_the_study_runs(
    new_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERASTUDY_MLFLOW", "on")
    seen: set[str] = set()

    def wait_for_the_first(spec: TrialSpec) -> None:
        ends = time.monotonic() + SECONDS_AT_MOST
        while spec.number == 2 and not {"0", "1"} <= seen:
            assert time.monotonic() < ends, seen
            seen.update(finished(new_store, new_store.root / "followed"))
            time.sleep(0.1)

    executor = ScriptedExecutor(describe(name="followed", trials=3), wait_for_the_first)
    history = run_study(executor, store=new_store.root, progress=NoProgress(), report=False)
    assert seen == {"0", "1"} and history.counts()["complete"] == 3
    wait_for_exporters()
    check_equal(client_of(new_store), history.folder)


def test_a_launch_ends_though_its_server_does_not_answer(
    new_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says what is left, and the exporter goes on when it has ended."""
    monkeypatch.setenv("KERASTUDY_MLFLOW", "on")
    monkeypatch.setattr(process, "_SECONDS_TO_WAIT", 0.5)
    said, asked_in_time = Said(), []
    with silent_server() as (address, asked, may_answer):

        def wait_until_asked(spec: TrialSpec) -> None:
            if spec.number == 1:
                asked_in_time.append(asked.wait(SECONDS_AT_MOST))

        executor = ScriptedExecutor(describe(name="waiting", trials=3), wait_until_asked)
        history = run_study(
            executor, store=new_store.root, progress=said, tracking_uri=address, report=False
        )
        assert asked_in_time == [True] and not may_answer.is_set()
        assert history.counts()["complete"] == 3
        assert "still being written, in the background: MLflow" in said.lines
        may_answer.set()
        wait_for_exporters()
    check_equal(client_of(new_store), history.folder)
