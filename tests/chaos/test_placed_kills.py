"""Commands killed in the middle of what they do lose nothing, double nothing, and leave nothing."""

import contextlib
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from exported import check_equal
from in_mlflow import InMlflow, open_store_client
from killing import NAME, REPEATABLE, STUDY_FILE
from stores import history_at, store_at
from study_record import differences, left_behind, read_record
from user_commands import KERASTUDY, environment, kerastudy, run

# No units are unlucky.
TAILORED = ("--set", "units=4..6", "--trials", "6", "--epochs", "5", "--seed", "3")
LAUNCH = ("launch", "study.py", "--workers", "2", *REPEATABLE, *TAILORED, "--store", "store")
CONFIRM = ("confirm", NAME, "--budget", "12", "--store", "store")
# Kills a command right before an audit event with a path that ends in a text.
UNTIL = """
import os, runpy, signal, sys

event, ending = sys.argv[1:3]
sys.argv = ["kerastudy", *sys.argv[3:]]


def look(name, arguments):
    if name == event and os.fsdecode(arguments[0]).endswith(ending):
        os.kill(os.getpid(), signal.SIGKILL)


sys.addaudithook(look)
runpy.run_module("kerastudy", run_name="__main__")
"""
# The journal holds still meanwhile. A look takes less than a millisecond, and so do steps.
_SECONDS_BETWEEN_LOOKS = 0.001
_SECONDS = 240


class Killed:
    """Runs commands in a folder, and kills each at some point."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.count = folder, 0

    def __call__(
        self, *command: str, at: str | Callable[[], bool], with_its_children: bool = False
    ) -> None:
        """Kills a command when it has printed a line, or when a condition holds."""
        process = subprocess.Popen(
            [*KERASTUDY, *command],
            cwd=self.folder,
            env=environment(KERASTUDY_MLFLOW="on", PYTHONUNBUFFERED="1"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        lines: list[str] = []
        reader = threading.Thread(target=lambda: lines.extend(process.stdout or ()), daemon=True)
        reader.start()
        ends = time.monotonic() + _SECONDS
        while not (any(re.search(at, x) for x in lines) if isinstance(at, str) else at()):
            assert process.poll() is None and time.monotonic() < ends, (command, at, lines)
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        children = psutil.Process(process.pid).children(recursive=True)
        for pid in [process.pid, *(child.pid for child in children if with_its_children)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, (command, at, lines)
        # Workers end with their driver, and an exporter when it has sent the rest.
        psutil.wait_procs(children, timeout=_SECONDS)
        self.count += 1

    def before(self, event: str, ending: str, *command: str) -> None:
        """Has a command killed right before a step."""
        until = [sys.executable, "-P", "-c", UNTIL, event, ending, *command]
        run(self.folder, until, expect=-signal.SIGKILL)
        self.count += 1


def value(folder: Path, query: str, name: str = NAME) -> int:
    """Returns a number that a study's journal has; 0 if there is none yet."""
    path = folder / "store" / name / "journal.db"
    with (
        contextlib.suppress(sqlite3.Error),
        contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database,
    ):
        row = database.execute(query).fetchone()
        return int(row[0]) if row else 0
    return 0


def of_journal(folder: Path, query: str, least: int) -> Callable[[], bool]:
    return lambda: value(folder, query) >= least


ENDED = "SELECT count(*) FROM trials WHERE state = 'complete'"
EPOCHS = "SELECT count(*) FROM epochs"
CHAMPIONS = "SELECT count(*) FROM champions"
TRAININGS = "SELECT count(*) FROM fits WHERE confirmation IS NOT NULL AND state = 'complete'"


def check_whole(folder: Path, name: str = NAME, *, killed: bool = False) -> None:
    """Nothing is left over, nothing is wrong, and MLflow has what the journal has.

    Whoever takes a study's lock next renews what a killed command has noted beside it.
    """
    leftovers = [
        text for text in left_behind(folder / "store") if not (killed and "lock's" in text)
    ]
    assert leftovers == []
    kerastudy(folder, "doctor", "--store", "store")
    history = history_at(folder / "store", name)
    check_equal(InMlflow(history).client, history.folder)


def champion_of(folder: Path) -> int:
    """Returns the number of the champion's trial."""
    return value(
        folder,
        "SELECT trials.number FROM champions JOIN trials ON trials.uuid = champions.trial "
        "WHERE NOT withdrawn",
    )


@pytest.mark.exhaustive
def test_a_killed_command_given_again_ends_as_if_it_had_not_been_killed(tmp_path: Path) -> None:
    calm, folder = tmp_path / "calm", tmp_path / "a folder"
    for place in (calm, folder):
        place.mkdir()
        (place / "study.py").write_text(STUDY_FILE, encoding="utf-8")
    for command in (LAUNCH, CONFIRM):
        kerastudy(calm, *command)
    kill = Killed(folder)
    # The launch is killed while trials run.
    kill(*LAUNCH, at=of_journal(folder, EPOCHS, 1))
    kill(*LAUNCH, at=of_journal(folder, ENDED, 2))
    kill(*LAUNCH, at=of_journal(folder, ENDED, 3), with_its_children=True)
    kill(*LAUNCH, at=of_journal(folder, ENDED, 5), with_its_children=True)
    # It is killed while the best trial is verified, and registered.
    kill(*LAUNCH, at="^verifying")
    kill(*LAUNCH, at="^verifying", with_its_children=True)
    kill(*LAUNCH, at="^registering")
    kill(*LAUNCH, at=of_journal(folder, CHAMPIONS, 1))
    kerastudy(folder, *LAUNCH)
    check_whole(folder)
    # A confirmation is killed in its trainings, and after the last one.
    for trainings, everything in ((1, False), (3, True), (5, False)):
        kill(*CONFIRM, at=of_journal(folder, TRAININGS, trainings), with_its_children=everything)
    kerastudy(folder, *CONFIRM)
    actual, expected = (read_record(place / "store", NAME) for place in (folder, calm))
    # A training that was resumed has scores of its epochs since then (decision 42).
    differing = differences(expected["trials"], actual["trials"])
    assert [difference for difference in differing if "/scores_bytes:" not in difference] == []
    outcome = "SELECT json_extract(outcome, '$.winner') FROM confirmations"
    assert value(folder, outcome) == value(calm, outcome)
    check_whole(folder)
    # A promotion is killed while it registers another champion.
    promote = ("promote", NAME, "--store", "store", "--trial")
    before = champion_of(folder)
    others = [n for n in range(6) if n != before][:2]
    kill(*promote, str(others[0]), at="^registering")
    assert champion_of(folder) == before
    check_whole(folder, killed=True)
    kill(*promote, str(others[1]), at=of_journal(folder, CHAMPIONS, value(folder, CHAMPIONS) + 1))
    assert champion_of(folder) == others[1]
    check_whole(folder, killed=True)
    # Exports are killed while they write files.
    for kind in ("script", "keras"):
        export = ("export", NAME, "--as", kind, "--output", f"as {kind}", "--store", "store")
        kill(*export, at=lambda: any(folder.glob("*as *")))
        leftovers = [path for path in folder.glob("*as *") if not path.name.startswith("as ")]
        assert leftovers == []
        kerastudy(folder, *export, expect=None)
    # A push is killed while it brings MLflow up to date.
    (folder / "store" / NAME / "exports.db").unlink()
    kill("ui", NAME, "--no-open", "--store", "store", at="MLflow", with_its_children=True)
    check_whole(folder, killed=True)
    # A deletion is killed between its two renames.
    kill.before("os.rename", NAME, "delete", NAME, "--yes", "--store", "store")
    kerastudy(folder, "doctor", "--fix", "--store", "store")
    store = store_at(folder / "store")
    assert store.folders() == [] and not any(store.root.glob(f"*{NAME}*"))
    assert open_store_client(store).search_experiments() == []
    assert kill.count >= 16
