"""A disk that is full, or read-only, under the commands for a study that is there.

What is refused is told in a line. When the disk takes it again, the command does what it is for.
"""

import contextlib
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from kinds_study import Kinds
from mlflow_server import MlflowServer
from study_record import left_behind
from suite import exhaustive_but
from user_commands import Answer, kerastudy_here
from write_steps import NEEDS_NO_ROOM, Refusal, Steps

STORE = "kerastudy-store"
COMMANDS = {
    "delete": ("delete", "kinds", "--yes"),
    "report": ("report", "kinds", "--no-open", "--output", "page.html"),
    "keras": ("export", "kinds", "--as", "keras", "--output", "model.keras"),
    "csv": ("export", "kinds", "--as", "csv", "--output", "all.csv"),
    "confirm": ("confirm", "kinds", "--top", "2", "--budget", "2", "--no-test",
                "--executor", "in-process"),
    "promote": ("promote", "kinds", "--trial", "WORST", "--reason", "it is small"),
    "reason": ("promote", "kinds", "--reason", "it is best"),
    "push": ("push", "kinds", "--tracking-uri", "SERVER"),
}  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Returns the address of an MLflow server."""
    started = MlflowServer(tmp_path_factory.mktemp("server"))
    started.start()
    yield started.address
    started.kill()


def watched(
    folder: Path, command: tuple[str, ...], fault: Refusal | None = None, at: int = -1
) -> tuple[Answer, list[str]]:
    """Runs a command in this process. Returns its answer, and the steps of its writes."""
    steps = Steps(folder, fault=fault, at=at)
    with patch.object(sqlite3, "connect", sqlite3.connect):
        steps.watch()
        try:
            answer = kerastudy_here(folder, *command, expect=None)
        finally:
            steps.fault = None
    return answer, [*steps.names]


def outcome(folder: Path) -> list[Any]:
    """Returns the rows of the store's journals, without times and random names."""
    rows: list[Any] = []
    for journal in sorted((folder / STORE).glob("*/journal.db")):
        with contextlib.closing(sqlite3.connect(journal)) as database:
            rows += [
                database.execute(query).fetchall()
                for query in (
                    "SELECT name FROM study",
                    "SELECT number FROM champions JOIN trials ON trials.uuid = trial "
                    "WHERE NOT withdrawn",
                    "SELECT state FROM confirmations",
                    "SELECT count(*) FROM evaluations",
                    "SELECT state, count(*) FROM fits WHERE confirmation IS NOT NULL "
                    "AND state = 'complete'",
                )
            ]
    return rows


def place(step: str) -> str:
    """Returns the table or the kind of file that a step changes."""
    what, _, table = step.partition(":")
    return f"{what}{table.split(',')[0]}" if table else f"{what.split()[0]} {Path(what).suffix}"


@pytest.mark.parametrize("fault", ["full", "read-only"])
@pytest.mark.parametrize("name", exhaustive_but(["delete", "csv", "reason"], COMMANDS))
def test_what_is_refused_is_told_in_a_line_and_done_later(
    kinds: Kinds, tmp_path: Path, name: str, fault: Refusal, request: pytest.FixtureRequest
) -> None:
    places = {"WORST": str(kinds.trials[-1]["trial"])}
    if name == "push":
        places["SERVER"] = request.getfixturevalue("server")
    command = tuple(places.get(word, word) for word in COMMANDS[name])
    calm = Path(shutil.copytree(kinds.folder, tmp_path / "calm"))
    answer, steps = watched(calm, command)
    assert answer.returncode == 0, answer.stderr
    tried = {place(step): at for at, step in reversed([*enumerate(steps)])}
    if fault == "full":
        tried = {what: at for what, at in tried.items() if not what.startswith(NEEDS_NO_ROOM)}
    assert tried, steps
    for what, at in tried.items():
        folder = Path(shutil.copytree(kinds.folder, tmp_path / f"at {at}"))
        answer, _ = watched(folder, command, fault, at)
        if answer.returncode == 0:
            # The step was about something that may be left, such as the name of a folder.
            assert outcome(folder) == outcome(calm), what
        else:
            lines = [line for line in answer.stderr.splitlines() if line.startswith("kerastudy: ")]
            assert answer.returncode == 2 and lines == [answer.last], (what, answer.stderr)
            assert "Traceback" not in answer.stderr
            kerastudy_here(folder, "doctor", "--fix", expect=None)
            again = kerastudy_here(folder, *command, expect=None)
            success = again.returncode == 0 or outcome(folder) == outcome(calm)
            assert success, (what, answer.stderr, again.stderr)
        assert outcome(folder) == outcome(calm), what
        kerastudy_here(folder, "doctor", "--fix", expect=None)
        assert left_behind(folder / STORE) == [], what
        shutil.rmtree(folder)
