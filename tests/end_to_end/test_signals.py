"""Ctrl-C, and other signals to a launch and to its processes; a driver that is killed."""

import io
import re
import signal
import subprocess
from pathlib import Path
from typing import IO

import pexpect
import psutil
from rich.cells import cell_len
from study_file import write_study
from user_commands import KERASTUDY, as_json, environment, kerastudy_here


def launch(folder: Path, temporary: Path, *options: str) -> tuple[subprocess.Popen[str], IO[str]]:
    """Launches the study in a folder. Returns the process and its errors."""
    process = subprocess.Popen(
        [*KERASTUDY, "launch", "study.py", *options],
        cwd=folder,
        env=environment(TMPDIR=str(temporary)),
        stderr=subprocess.PIPE,
        text=True,
    )
    return process, process.stderr


def test_sigterm_before_the_first_trial_leaves_nothing_behind(tmp_path: Path) -> None:
    """The signal comes while workers start. Ctrl-C does the same."""
    write_study(tmp_path)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    process, errors = launch(tmp_path, temporary)
    driver = psutil.Process(process.pid)
    while not (workers := driver.children()):
        assert process.poll() is None
    assert list(temporary.iterdir()), "workers are reached by what is in there"
    process.send_signal(signal.SIGTERM)
    text = errors.read()
    assert process.wait() == 130, text
    loading, last = text.splitlines()
    assert loading.startswith("loading ")
    assert last.startswith("kerastudy: interrupted; nothing is lost.")
    assert list(temporary.iterdir()) == []
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert not alive


def test_workers_of_a_killed_driver_end_and_take_their_data_along(tmp_path: Path) -> None:
    write_study(tmp_path, epochs="100000")
    with (tmp_path / "study.py").open("a", encoding="utf-8") as file:
        # TensorFlow writes a file, and removes it when its process ends well.
        file.write("import tensorflow as tf\ntf.autograph.to_graph(lambda x: x)\n")
    # Its path is longer than that of a socket may be.
    temporary = tmp_path / ("temporary" * 12)
    temporary.mkdir()
    process, errors = launch(tmp_path, temporary, "--workers", "2")
    assert any(line.startswith("study ") for line in iter(errors.readline, ""))
    workers = psutil.Process(process.pid).children()
    assert len(workers) == 2
    assert list(temporary.glob("kerastudy-data-*/*.npy"))
    assert list(temporary.rglob("__autograph_generated_file*"))
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert not alive
    assert not list(temporary.iterdir())


def test_ctrl_c_at_a_terminal_leaves_a_study_that_goes_on(tmp_path: Path) -> None:
    """The terminal shows a live line, and one clean ending. `test_driver` judges the trials."""
    write_study(tmp_path, name='"작은 연구"', epochs="3")
    # Trials enough that some are left when the signal arrives, also on a busy machine.
    arguments = ["launch", "study.py", "--trials", "40"]
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
    terminal.expect(r"trial +1 +[▁-█]+ .* \(epoch \d of 3\)")
    terminal.sendintr()
    terminal.expect("stopping after the present epoch")
    terminal.expect("interrupted; nothing is lost")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 130
    screen = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\r", "\n", terminal.logfile_read.getvalue())
    # The command to copy is not broken.
    lines = [line for line in screen.splitlines() if "kerastudy launch" not in line]
    assert max(map(cell_len, lines)) <= 80
    assert "/min" in screen and "no value" not in screen
    # The cursor is back, and nothing is left below the last finished trial.
    assert terminal.logfile_read.getvalue().count("\x1b[?25h") >= 1
    stopped = as_json(kerastudy_here(tmp_path, "show", "작은 연구", "--json"))
    assert stopped["trials"]["running"] == 0
    assert 1 <= stopped["trials"]["complete"] < 40
    arguments += ["--executor", "in-process", "--verify", "off", "--json"]
    resumed = as_json(kerastudy_here(tmp_path, *arguments))
    assert resumed["trials"]["complete"] == 40
