"""Ctrl-C, at a terminal and in a pipe."""

from __future__ import annotations

import io
import re
import signal
from pathlib import Path

import pexpect
import psutil
import pytest
from rich.cells import cell_len
from user_commands import (
    KERASTUDY,
    as_json,
    environment,
    kerastudy_here,
    launched,
    write_study,
)

from tracking.store import create_store


def test_ctrl_c_at_a_terminal_leaves_a_study_that_goes_on(tmp_path: Path) -> None:
    """With a live line, and one clean ending.

    The trials are then the same as if nothing had happened: see `test_driver`.
    """
    write_study(tmp_path)
    create_store(tmp_path / "kerastudy-store")
    arguments = ["launch", "study.py", "--trials", "3"]
    terminal = pexpect.spawn(
        KERASTUDY[0],
        [*KERASTUDY[1:], *arguments],
        cwd=tmp_path,
        env=environment(TERM="xterm-256color", COLUMNS="80"),
        encoding="utf-8",
        timeout=120,
        dimensions=(24, 80),
    )
    terminal.logfile_read = io.StringIO()
    terminal.expect(r"trial 1 +[▁-█]+ .* \(epoch \d of 3\)")
    terminal.sendintr()
    terminal.expect("stopping after the present epoch")
    terminal.expect("interrupted; nothing is lost")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 130
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\r", "\n", terminal.logfile_read.getvalue())
    # The command to copy is not broken.
    lines = [line for line in shown.splitlines() if "kerastudy launch" not in line]
    assert max(map(cell_len, lines)) <= 80
    assert "/min" in shown and "no value" not in shown
    # The cursor is back, and nothing is left below the last finished trial.
    assert terminal.logfile_read.getvalue().count("\x1b[?25h") >= 1
    stopped = as_json(kerastudy_here(tmp_path, "show", "작은 연구", "--json"))
    assert stopped["trials"]["running"] == 0
    assert 1 <= stopped["trials"]["complete"] < 3
    arguments += ["--executor", "in-process", "--verify", "off", "--json"]
    resumed = as_json(kerastudy_here(tmp_path, *arguments))
    assert resumed["trials"]["complete"] == 3


# Trials that are stopped at once are in `test_stopping`, signals to a launch in `test_signals`.
@pytest.mark.exhaustive
def test_twice_stops_at_once_and_loses_nothing_that_was_done(tmp_path: Path) -> None:
    write_study(tmp_path, **{"epochs=3,": "epochs=100000,"})
    create_store(tmp_path / "kerastudy-store")
    process, said = launched(tmp_path)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    rest = said.read()
    assert process.wait() == 130, rest
    assert "Traceback" not in rest
    assert not [p for p in psutil.process_iter(["cwd"]) if p.info["cwd"] == str(tmp_path)]
    shown = as_json(kerastudy_here(tmp_path, "show", "작은 연구", "--json"))
    assert shown["trials"]["running"] == 0
