"""Runs `kerastudy` as users do: in a new process, in a user's folder."""

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

_USUAL = {
    "COLUMNS": "100",
    "KERASTUDY_WORKERS": "1",
    "KERASTUDY_MLFLOW": "off",
    "KERASTUDY_REPORT": "off",
}

KERASTUDY = [sys.executable, "-P", "-m", "kerastudy"]


def environment(**more: str) -> dict[str, str]:
    """Returns the environment for a command, without variables of kerastudy, MLflow and pytest.

    The command has one worker, as each worker costs seconds of CPU, and the trials of several end
    in any order. MLflow and the report are off, as each costs 2 s.
    """
    ours = ("KERASTUDY_", "MLFLOW_", "PYTHONPATH", "PYTEST_")
    variables = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**variables, **_USUAL, **more}


class Answer(subprocess.CompletedProcess[str]):
    @property
    def last(self) -> str:
        return self.stderr.strip().rpartition("\n")[2]


def kerastudy(folder: Path, *arguments: str | Path, expect: int | None = 0, **more: str) -> Answer:
    """Runs a command in a folder. Fails if its exit code is not `expect`, unless this is None."""
    return run(folder, [*KERASTUDY, *map(str, arguments)], expect=expect, **more)


def run(folder: Path, command: list[str], *, expect: int | None = 0, **more: str) -> Answer:
    """Runs a process in a folder. Fails if its exit code is not `expect`, unless this is None."""
    process = subprocess.run(
        command,
        cwd=folder,
        env=environment(**more),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    return _expected(Answer(command, process.returncode, process.stdout, process.stderr), expect)


def _expected(answer: Answer, code: int | None) -> Answer:
    assert code is None or answer.returncode == code, answer.stdout + answer.stderr
    return answer


def kerastudy_here(
    folder: Path, *arguments: str | Path, expect: int | None = 0, **more: str
) -> Answer:
    """Does the same as `kerastudy`, but in this process, which imports TensorFlow and MLflow once.

    A thread loads recorded studies instead of a process (`worker_here`).
    """
    from worker_here import recorded_workers_here

    from studies.commands import main

    command = ["kerastudy", *map(str, arguments)]
    out, err, code = io.StringIO(), io.StringIO(), 0
    with (
        contextlib.chdir(folder),
        recorded_workers_here(),
        patch.dict(os.environ, {**_USUAL, **more}),
        patch.multiple(sys, argv=command, stdin=io.StringIO()),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
    return _expected(Answer(command, code, out.getvalue(), err.getvalue()), expect)


def as_json(answer: subprocess.CompletedProcess[str]) -> Any:
    """Returns the document that a command printed with --json.

    Fails if it printed more, or NaN or an infinity, which are no JSON.
    """

    def no_constant(text: str) -> None:
        raise ValueError(f"{text} is no JSON")

    return json.loads(answer.stdout, parse_constant=no_constant)
