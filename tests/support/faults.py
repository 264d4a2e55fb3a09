"""Faults at each step of what a driver writes.

A program of its own, so that what it forks from has Optuna in memory, TensorFlow not, and no
database open. It reads plans, a line each, and answers each with a line:

    echo '{"folder": "/tmp/x", "fault": "kill", "part": "all", "settings": {…}, "every": true}' |
        python tests/support/faults.py /tmp/y

What a process that is killed at a step leaves is the folder as other processes see it at that
moment: a copy is taken, and launched in. Being killed just after a step leaves the same as just
before the next, so there is a copy before each step and one after the last. Processes that are
really killed are in `test_driver` and in `tests/chaos`. Writes are refused in processes that are
forked for one refusal each.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import scripted
import study_record
from scripted import ScriptedExecutor, describe, run_study
from write_steps import NEEDS_NO_ROOM, Steps

import kerastudy as ks
from search_spaces import SearchSpace
from studies.commands import telling_errors
from studies.progress import NoProgress
from tracking.records import TrialSpec

# "kill" leaves what a killed process would; "kill twice" has the launch after that killed too, at
# a step that is drawn; "power" leaves what a power failure may: the journal lacks what it was told
# last. The others refuse every write from there on.
Fault = Literal["kill", "kill twice", "power", "full", "read-only"]
# Where: in making the store, in a launch in a store that is there, in the trials of that launch.
Part = Literal["store", "all", "trials"]


class Executor(ScriptedExecutor):
    """Saves a champion too, without a model in it."""

    def save_champion(
        self,
        spec: TrialSpec,
        checkpoint: Path,
        space: SearchSpace,
        folder: Path,
        weights_sha256: str = "",
    ) -> dict[str, float]:
        from mlflow.models import Model

        folder.mkdir()
        (folder / "weights").write_bytes(checkpoint.read_bytes())
        Model().save(str(folder / "MLmodel"))
        return {}


def launch(root: Path, settings: Mapping[str, Any]) -> int:
    """Launches the study as the command does; returns the exit code."""
    workers = settings.get("workers", 1)
    executor = Executor(
        describe(name="faults", keep=1, **{k: v for k, v in settings.items() if k in _SETTINGS}),
        workers=workers,
        infeasible=set(settings.get("infeasible", ())),
        joined={n: [ks.Float("late", 0.0, 1.0)] for n in settings.get("joins", ())},
    )
    run = telling_errors(
        lambda: run_study(executor, store=root, progress=NoProgress(), workers=workers)
    )
    try:
        run()
    except SystemExit as error:
        return int(str(error.code))
    return 0


_SETTINGS = ("trials", "epochs", "pruner", "repeats", "discovered", "seed", "deterministic")


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


def contents(folder: Path) -> dict[str, bytes | None]:
    """Returns all files in a folder, and folders."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def _lose_the_last(log: Path, rng: random.Random) -> None:
    """Cuts the end of a database's write-ahead log off, somewhere in its last quarter."""
    if log.exists():
        size = log.stat().st_size
        os.truncate(log, size - rng.randrange(size // 4 + 1))


_COPIES = ("kill", "kill twice", "power")
# What takes long is tried at some of the steps: at each of so many, or at a third of those.
_EVERY = {"power": 6, "kill twice": 8}
_PARTS = {
    "store": ("", "commit journal.db: INSERT searches"),
    "all": ("", "the end"),
    "trials": ("commit journal.db: INSERT trials", "commit journal.db: INSERT champions"),
}


def _kind(step: str) -> str:
    """Returns a step without the numbers and ids in it."""
    if "/" not in step and step.startswith("os.mkdir"):
        step = "os.mkdir"
    return re.sub(r"[0-9a-f]{32}|\d+", "…", step)


def _place(step: str) -> str:
    """Returns what a step is done to: a table, the files of a folder."""
    what, _, table = step.partition(":")
    return f"{what}{table.split(',')[0]}" if table else _kind(step).partition("/")[0]


@dataclass
class Cases:
    """A study that is launched again and again, each time with a fault at another step.

    Attributes:
        folder: For its store, and for what is told of it.
        part: Where the faults are.
        settings: Of the study.
        every: Whether there is one at every step; else at one for each table and folder.
    """

    folder: Path
    part: Part
    settings: Mapping[str, Any]
    every: bool = False

    def __post_init__(self) -> None:
        self._store, self._template = self.folder / "store", self.folder / "template"
        self._copies = self.folder / "copies"
        self._errors, self._answer = self.folder / "errors", self.folder / "answer.json"

    def run(self, fault: Fault) -> dict[str, Any]:
        """Returns the steps, and what went wrong at which."""
        self.folder.mkdir(exist_ok=True)
        if self.part != "store":
            self._told(self._make_store)
            shutil.copytree(self._store, self._template)
        self._told(lambda: self._undisturbed(self._copies if fault in _COPIES else None))
        answer = json.loads(self._answer.read_text())
        expected = answer["record"]
        tried = self._tried(fault, answer["steps"])
        failures = {}
        for at, what in tried.items():
            found = self._case(fault, at, expected, len(answer["steps"]))
            if found:
                failures[f"{at} {what}"] = found
        return {"tried": list(tried.values()), "failures": failures, "record": expected}

    def _tried(self, fault: Fault, steps: list[str]) -> dict[int, str]:
        """Returns the steps at which there is to be a fault, by number."""
        begin, end = _PARTS[self.part]
        first = next(i for i, step in enumerate(steps) if step.startswith(begin))
        last = next(i for i, step in enumerate(steps) if step.startswith(end))
        tried = dict([*enumerate(steps)][first : last + 1])
        if fault in _EVERY:
            each = _EVERY[fault] * (1 if self.every else 3)
            return {at: step for at, step in tried.items() if at % each == 3}
        if fault == "kill" and self.part == "all":
            tried = self._unlike(tried)
            if not self.every:
                # The last of each: more has gone before.
                places = {_place(step): at for at, step in tried.items()}
                tried = {at: step for at, step in tried.items() if places[_place(step)] == at}
        if fault != "kill" or self.part == "store":
            # What is refused at one trial's writes is refused at another's.
            kind = _kind if self.every or self.part == "store" else _place
            kinds = {kind(step): at for at, step in reversed(tried.items())}
            tried = {at: step for at, step in tried.items() if kinds[kind(step)] == at}
        if fault == "full":
            tried = {i: s for i, s in tried.items() if not s.startswith((*NEEDS_NO_ROOM, "the"))}
            return tried if self.every else dict([*tried.items()][::2])
        if fault == "read-only":
            # What needs room has been refused by a full disk.
            return {i: s for i, s in tried.items() if s.startswith(NEEDS_NO_ROOM)}
        return tried

    def _unlike(self, steps: dict[int, str]) -> dict[int, str]:
        """Returns the steps before which the folder was not as before the last one.

        It was where a step failed, as making a folder does that has no parent yet.
        """
        found, before = {}, None
        for at, step in steps.items():
            now = contents(self._copies / str(at))
            if now != before:
                found[at], before = step, now
        return found

    def _case(self, fault: Fault, at: int, expected: object, steps: int) -> list[str]:
        shutil.rmtree(self._store)
        found: list[str] = []
        if fault in _COPIES:
            copy = self._copies / str(at)
            if copy.exists():
                copy.rename(self._store)
            if fault == "power":
                for log in self._store.glob("*/journal.db-wal"):
                    _lose_the_last(log, random.Random(at))
            if fault == "kill twice":
                # About as many steps are left.
                self._killed_again(random.Random(at).randrange(steps - at))
        else:
            shutil.copytree(self._template, self._store)
            found += self._refused(fault, at)
        try:
            self._told(self._again)
        except AssertionError as error:
            return [*found, str(error)]
        answer = json.loads(self._answer.read_text())
        found += study_record.differences(expected, answer["record"])
        if fault == "power":
            # A model that the record has lost: nobody sees it.
            answer["left"] = [left for left in answer["left"] if "a model of no" not in left]
        return found + answer["left"]

    def _killed_again(self, step: int) -> None:
        """Leaves what a launch would that was killed at a step, or its end if there is none."""
        copies = self.folder / "copies of another launch"
        self._told(lambda: self._undisturbed(copies, step))
        if copies.exists():
            shutil.rmtree(self._store)
            (copies / str(step)).rename(self._store)
            copies.rmdir()

    def _refused(self, fault: Fault, at: int) -> list[str]:
        def launch_in_vain() -> int:
            assert fault in ("full", "read-only")
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

    def _undisturbed(self, copies: Path | None, copied: int | None = None) -> int:
        steps = Steps(self._store, copies=copies, copied=copied)
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


def _simulated(folder: Path, seeds: list[int]) -> dict[str, Any]:
    """Returns what happened in simulated studies, and what went wrong in which."""
    from simulated_faults import campaigns

    found = [(c.happened, str(c.plan), wrong) for c, wrong in campaigns(folder, seeds)]
    failures = {plan: wrong for _, plan, wrong in found if wrong}
    return {"happened": sum((each[0] for each in found), Counter()), "failures": failures}


def main() -> None:
    """Prints the result of the faults of each plan, as JSON."""
    # All that a launch imports and prepares, once: by launching, in a store that no child opens.
    folder = Path(sys.argv[1])
    assert launch(folder, {"trials": 1, "epochs": 1}) == 0
    study_record.read_record(folder, "faults")
    study_record.left_behind(folder)
    assert "tensorflow" not in sys.modules, f"{scripted.__file__} brought TensorFlow along"
    for line in sys.stdin:
        plan = json.loads(line)
        if "seeds" in plan:
            print(json.dumps(_simulated(Path(plan["folder"]), plan["seeds"])), flush=True)
            continue
        cases = Cases(Path(plan["folder"]), plan["part"], plan["settings"], plan["every"])
        print(json.dumps(cases.run(plan["fault"])), flush=True)


if __name__ == "__main__":
    main()
