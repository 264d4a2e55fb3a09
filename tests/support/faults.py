"""Faults at each step of what a driver writes.

A program of its own, so that what it forks from has MLflow and Optuna in memory, TensorFlow not,
and no database open:

    python tests/support/faults.py '{"folder": "/tmp/x", "fault": "kill", "part": "all", …}'

The steps are noted by the code as it runs: each commit to a database of the store, and each file
or folder there that is opened for writing, renamed, removed or made.

What a process that is killed at a step leaves is the folder as other processes see it at that
moment: a copy is taken, and launched in. Being killed just after a step leaves the same as just
before the next, so there is a copy before each step and one after the last. Processes that are
really killed are in `test_driver` and in `tests/chaos`. Writes are refused in processes that are
forked for one refusal each.
"""

from __future__ import annotations

import errno
import functools
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import scripted
import study_record
from scripted import ScriptedExecutor, describe

import kerastudy as ks
from search_spaces import SearchSpace
from studies.commands.main import telling_errors
from studies.launching import run_study
from studies.progress import NoProgress
from tracking.records import TrialSpec

# "kill" leaves what a killed process would; the others refuse every write from there on.
Fault = Literal["kill", "full", "read-only"]
# Where: in making the store, in a launch in a store that is there, in the trials of that launch.
Part = Literal["store", "all", "trials"]

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_NEEDS_NO_ROOM = ("os.rename", "os.remove", "os.rmdir")
_ERRORS = {
    "full": (errno.ENOSPC, "database or disk is full"),
    "read-only": (errno.EROFS, "attempt to write a readonly database"),
}


@dataclass
class Steps:
    """Counts what this process writes under a folder, from now on.

    Attributes:
        root: The folder.
        copies: Where a copy of it is put before each step, under the step's number; or None.
        fault: How steps are refused, or None.
        at: From which step on they are refused.
        seen: The steps so far, in words.
    """

    root: Path
    copies: Path | None = None
    fault: Literal["full", "read-only"] | None = None
    at: int = -1
    seen: list[str] = field(default_factory=list)

    def watch(self) -> None:
        """Begins. There is no end: audit hooks stay for the life of a process."""
        from sqlalchemy import event
        from sqlalchemy.engine import Engine

        sys.addaudithook(self._on_audit)
        _Watched.steps = self

        def connect(_dialect: object, _record: object, _args: object, options: Any) -> None:
            options["factory"] = _Watched

        event.listen(Engine, "do_connect", connect)
        # What opens a database without SQLAlchemy.
        sqlite3.connect = functools.partial(sqlite3.connect, factory=_Watched)

    def step(self, what: str, error: Callable[[], Exception]) -> None:
        """Takes note of a step that is about to be done.

        Args:
            what: It, in words.
            error: Makes what is raised if it is refused.
        """
        number = len(self.seen)
        self.seen.append(what)
        if self.copies is not None and self.root.exists():
            # Not by this process: closing a file of a database ends SQLite's locks on it.
            subprocess.run(["cp", "-a", self.root, self.copies / str(number)], check=True)
        if self.fault is None or number < self.at:
            return
        if self.fault != "full" or not what.startswith(_NEEDS_NO_ROOM):
            raise error()

    def _on_audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        paths: tuple[object, ...]
        if event == "open":
            path, _, flags = arguments
            if not flags & _WRITES:
                return
            paths = (path,)
        elif event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"):
            paths = arguments[: 2 if event == "os.rename" else 1]
        else:
            return
        if (event == "os.mkdir") == os.path.lexists(os.fsdecode(paths[0])) and event != "open":
            # To see whether it is there; it writes nothing.
            return
        inside = [p for p in map(self._inside, paths) if p is not None]
        if not inside:
            return

        def error() -> Exception:
            number = _ERRORS[str(self.fault)][0]
            return OSError(number, os.strerror(number), str(self.root / inside[-1]))

        self.step(f"{event} {' '.join(inside)}", error)

    def _inside(self, path: object) -> str | None:
        if not isinstance(path, (str, bytes, os.PathLike)):
            return None
        absolute = Path(os.path.abspath(os.fsdecode(path)))
        return str(absolute.relative_to(self.root)) if absolute.is_relative_to(self.root) else None


class _Watched(sqlite3.Connection):
    """A connection whose commits are steps."""

    steps: ClassVar[Steps]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._written: list[str] = []
        self.set_trace_callback(self._note)

    def _note(self, statement: str) -> None:
        words = statement.split(None, 3)
        if words and words[0] in ("INSERT", "UPDATE", "DELETE"):
            self._written.append(" ".join(words[:1] + words[-2:-1]))

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        if sql == "COMMIT":
            self._before_commit()
        return super().execute(sql, *parameters)

    def commit(self) -> None:
        self._before_commit()
        super().commit()

    def _before_commit(self) -> None:
        if self.in_transaction and self._written:
            path = Path(self.execute("PRAGMA database_list").fetchone()[2])
            if path.is_relative_to(self.steps.root):
                what = ", ".join(dict.fromkeys(self._written))
                self.steps.step(f"commit {path.name}: {what}", self._error)
        self._written.clear()

    def _error(self) -> Exception:
        return sqlite3.OperationalError(_ERRORS[str(self.steps.fault)][1])


class Executor(ScriptedExecutor):
    """Saves a champion too, without a model in it."""

    def save_champion(
        self, spec: TrialSpec, checkpoint: Path, space: SearchSpace, folder: Path
    ) -> dict[str, float]:
        from mlflow.models import Model

        folder.mkdir()
        (folder / "weights").write_bytes(checkpoint.read_bytes())
        Model().save(str(folder / "MLmodel"))
        return {}


def launch(root: Path, settings: Mapping[str, Any]) -> int:
    """Launches the study as the command does; returns the exit code."""
    executor = Executor(
        describe(name="faults", keep=1, **{k: v for k, v in settings.items() if k in _SETTINGS}),
        infeasible=set(settings.get("infeasible", ())),
        joined={n: [ks.Float("late", 0.0, 1.0)] for n in settings.get("joins", ())},
    )
    run = telling_errors(lambda: run_study(executor, store=root, progress=NoProgress()))
    try:
        run()
    except SystemExit as error:
        return int(str(error.code))
    return 0


_SETTINGS = ("trials", "epochs", "pruner", "repeats", "discovered", "seed")


def in_child(action: Callable[[], int], errors: Path) -> int:
    """Runs an action in a forked process; returns its exit code, negative for a signal."""
    sys.stdout.flush()
    process = os.fork()
    if not process:
        code = 99
        try:
            output = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(output, 1)
            os.dup2(output, 2)
            code = action()
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


_PARTS = {
    "store": ("", "open locks/"),
    "all": ("", "the end"),
    "trials": ("commit optuna.db: INSERT studies", "commit mlflow.db: INSERT registered_models"),
}


def _kind(step: str) -> str:
    """Returns a step without the numbers and ids in it."""
    if "unfinished-" in step and step.startswith("commit"):
        step = step.partition(":")[0]
    if "/" not in step and step.startswith("os.mkdir"):
        step = "os.mkdir"
    return re.sub(r"[0-9a-f]{32}|\d+", "…", step)


@dataclass
class Cases:
    """A study that is launched again and again, each time with a fault at another step.

    Attributes:
        folder: For its store, and for what is told of it.
        part: Where the faults are.
        settings: Of the study.
    """

    folder: Path
    part: Part
    settings: Mapping[str, Any]

    def __post_init__(self) -> None:
        self._store, self._template = self.folder / "store", self.folder / "template"
        self._copies = self.folder / "copies"
        self._errors, self._answer = self.folder / "errors", self.folder / "answer.json"

    def run(self, fault: Fault) -> dict[str, Any]:
        """Returns the steps, and what went wrong at which."""
        self._copies.mkdir(parents=True)
        if self.part != "store":
            # Making a store takes as long as ten launches: each case has a copy.
            self._told(self._make_store)
            shutil.copytree(self._store, self._template)
        self._told(lambda: self._undisturbed(fault))
        answer = json.loads(self._answer.read_text())
        expected = answer["record"]
        tried = self._tried(fault, answer["steps"])
        failures = {}
        for at, what in tried.items():
            found = self._case(fault, at, expected)
            if found:
                failures[f"{at} {what}"] = found
        return {"tried": list(tried.values()), "failures": failures, "record": expected}

    def _tried(self, fault: Fault, steps: list[str]) -> dict[int, str]:
        """Returns the steps at which there is to be a fault, by number."""
        begin, end = _PARTS[self.part]
        first = next(i for i, step in enumerate(steps) if step.startswith(begin))
        last = next(i for i, step in enumerate(steps) if step.startswith(end))
        tried = dict([*enumerate(steps)][first : last + 1])
        if fault != "kill" or self.part == "store":
            # What is refused at one trial's writes is refused at another's. A store's databases
            # are made in many commits, under another name.
            kinds = {_kind(step): at for at, step in reversed(tried.items())}
            tried = {at: step for at, step in tried.items() if kinds[_kind(step)] == at}
        if fault == "full":
            return {i: s for i, s in tried.items() if not s.startswith((*_NEEDS_NO_ROOM, "the"))}
        if fault == "read-only":
            # What needs room has been refused by a full disk.
            return {i: s for i, s in tried.items() if s.startswith(_NEEDS_NO_ROOM)}
        return tried

    def _case(self, fault: Fault, at: int, expected: object) -> list[str]:
        shutil.rmtree(self._store)
        found = []
        if fault == "kill":
            copy = self._copies / str(at)
            if copy.exists():
                copy.rename(self._store)
        else:
            shutil.copytree(self._template, self._store)
            found += self._refused(fault, at)
        try:
            self._told(self._again)
        except AssertionError as error:
            return [*found, str(error)]
        answer = json.loads(self._answer.read_text())
        found += study_record.differences(expected, answer["record"])
        return found + answer["left"]

    def _refused(self, fault: Literal["full", "read-only"], at: int) -> list[str]:
        def launch_in_vain() -> int:
            Steps(self._store, fault=fault, at=at).watch()
            return launch(self._store, self.settings)

        code = in_child(launch_in_vain, self._errors)
        told = self._errors.read_text()
        as_it_should = code == 2 and told.startswith("kerastudy: ") and told.count("\n") == 1
        return [] if as_it_should else [f"it ended by {code} and told: {told}"]

    def _told(self, action: Callable[[], int]) -> None:
        code = in_child(action, self._errors)
        assert code == 0, f"{action.__name__} ended by {code}: {self._errors.read_text()}"

    def _make_store(self) -> int:
        from tracking.store import create_store

        create_store(self._store)
        return 0

    def _undisturbed(self, fault: Fault) -> int:
        steps = Steps(self._store, copies=self._copies if fault == "kill" else None)
        steps.watch()
        code = launch(self._store, self.settings)
        steps.step("the end", AssertionError)
        seen = list(steps.seen)
        self._write_answer(seen)
        return code

    def _again(self) -> int:
        code = launch(self._store, self.settings)
        self._write_answer([])
        return code

    def _write_answer(self, steps: list[str]) -> None:
        answer = {
            "steps": steps,
            "record": study_record.read_record(self._store, "faults"),
            "left": study_record.left_behind(self._store),
        }
        self._answer.write_text(json.dumps(answer))


def main() -> None:
    """Prints what came of the faults that the argument asks for, as JSON."""
    plan = json.loads(sys.argv[1])
    folder, settings = Path(plan["folder"]), plan["settings"]
    # All that a launch imports and prepares, once: by launching, in a store that no child opens.
    assert launch(folder / "another", settings) == 0
    study_record.read_record(folder / "another", "faults")
    study_record.left_behind(folder / "another")
    assert "tensorflow" not in sys.modules, f"{scripted.__file__} brought TensorFlow along"
    print(json.dumps(Cases(folder, plan["part"], settings).run(plan["fault"])))


if __name__ == "__main__":
    main()
