"""Progress that can't be shown any more: nobody reads it, or its terminal is gone."""

from __future__ import annotations

import itertools
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from suite import exhaustive_but

from studies.progress import LineProgress
from tracking.history import read_study
from tracking.store import open_store

SCRIPT = """
import os, signal, sys
sys.path[:0] = {path!r}
from scripted import ScriptedExecutor, describe
from scripted import run_study
from studies.progress import make_progress

def before(spec):
    if spec.number == 1:
        os.write(1, b"hang up\\n")
        sys.stdin.readline()
    if spec.number == {interrupted}:
        os.kill(os.getpid(), signal.SIGINT)

run_study(ScriptedExecutor(describe(trials=4), before), store={store!r}, progress=make_progress())
"""


def test_lines_fit_and_what_is_indented_stays_whole(capsys: pytest.CaptureFixture[str]) -> None:
    path = "/a/long/path" * 8
    LineProgress().say(f"warning: {'trial 3 is not what model.fit comes to ' * 3}in {path}")
    LineProgress().say(f"    {path} {path}")
    *lines, last, indented = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and all(len(line) <= 80 for line in lines)
    assert (last, indented) == (f"  {path}", f"    {path} {path}")


def pipe() -> tuple[int, Callable[[], None]]:
    reads, writes = os.pipe()
    return writes, lambda: os.close(reads)


def terminal() -> tuple[int, Callable[[], None]]:
    ours, theirs = os.openpty()
    gone = threading.Event()

    def show() -> None:
        # As a terminal does: what nobody takes from it blocks who writes to it.
        while not gone.is_set():
            if select.select([ours], [], [], 0.1)[0]:
                os.read(ours, 2**16)
        os.close(ours)

    shows = threading.Thread(target=show, daemon=True)
    shows.start()

    def hang_up() -> None:
        gone.set()
        shows.join()

    return theirs, hang_up


CASES = [*itertools.product((pipe, terminal), (None, 2))]


@pytest.mark.exhaustive
@pytest.mark.parametrize(("opened", "interrupted"), exhaustive_but([CASES[3]], CASES))
def test_a_study_goes_on_unseen(
    tmp_path: Path, opened: Callable[[], tuple[int, Callable[[], None]]], interrupted: int | None
) -> None:
    support = [str(Path(__file__).parents[2] / "support")]
    folder = tmp_path / "store"
    script = SCRIPT.format(path=support, store=str(folder), interrupted=interrupted)
    stderr, hang_up = opened()
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )
    os.close(stderr)
    assert process.stdin is not None and process.stdout is not None
    assert process.stdout.readline() == "hang up\n"
    hang_up()
    process.communicate("on\n", timeout=60)
    store = open_store(folder)
    assert store is not None
    history = read_study(store, "scripted")
    if interrupted is None:
        assert process.returncode == 0
        assert (history.status, history.counts()["complete"]) == ("FINISHED", 4)
    else:
        # As Python ends by a KeyboardInterrupt that nobody takes.
        assert process.returncode == -signal.SIGINT
        assert (history.status, history.ended_by) == ("KILLED", "interrupt")
