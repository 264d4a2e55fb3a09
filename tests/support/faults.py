"""Runs studies on simulated workers, with all kinds of faults.

Workers die, fall silent, send late, or send twice. Nodes are lost. The driver is killed or
interrupted at one of its writes, its writes are refused, or the power fails. Then the study is
launched again. The driver, the engine and the store are real. Each launch is a forked process with
a simulated clock, so the same plan has the same outcome.

This file is a program, so that its forks have Optuna in memory, but neither TensorFlow nor an open
database. It reads orders, one in a line, and answers each with a line:

    echo '{"folder": "/tmp/x", "seeds": [6]}' | python tests/support/faults.py /tmp/y
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import sys
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from unittest import mock

import study_record
from scripted import describe, loss, run_study
from simulated_workers import SimulatedWorkers
from write_steps import NEEDS_NO_ROOM, Steps

from benchmarks.many_workers.cluster import Faults
from studies.commands import telling_errors
from tracking.records import FINISHED_STATES, TrialSpec, from_json
from tracking.store import create_store

# "power" kills the driver, and damages the end of the journal. "full" and "read-only" refuse all
# later writes.
Fault = Literal["kill", "power", "interrupt", "interrupt twice", "full", "read-only"]
NAME = "faults"
# A plan has at most this many faults of the driver.
_MOST_FAULTS = 3


@dataclass(frozen=True)
class Plan:
    """A study, with the faults of its workers and nodes, and of the driver in each launch.

    A fault of the driver happens after a share of its steps. Everything follows from the seed.
    """

    seed: int
    settings: dict[str, Any]
    workers: int = 1
    on_node: int = 1
    faults: Faults = field(default_factory=Faults)
    of_driver: tuple[tuple[Fault, float], ...] = ()

    @classmethod
    def of(cls, seed: int) -> Plan:
        generator = random.Random(seed)
        workers = generator.choice([1, 2, 3, 4, 6, 9])
        settings: dict[str, Any] = {
            "trials": generator.randint(4, 14),
            "epochs": generator.randint(1, 4),
            "keep": generator.choice([1, 3, None]),
            "pruner": generator.choice(["none", "median,n_startup_trials=2", "successive-halving"]),
            "engine": generator.choice(["optuna:tpe", "optuna:tpe", "optuna:random"]),
        }
        if generator.random() < 0.7:
            settings |= {"engine": "optuna:random", "pruner": "none"}
        kind = generator.random()
        if kind < 0.15:
            settings |= {"repeats": 2, "trials": generator.randint(2, 5)}
        elif kind < 0.3:
            settings |= {"folds": 2, "cross_validation": "2", "trials": generator.randint(2, 5)}
        rates = Faults(
            dies=generator.choice([0.0, 0.1, 0.3]),
            silent=generator.choice([0.0, 0.1, 0.3]),
            twice=generator.choice([0.0, 0.2, 0.5]),
            nodes=generator.choice([0.0, 60.0, 240.0]),
            noticed=generator.choice([0.0, 1.0, 10.0]),
            replaced=generator.choice([0.0, 5.0, 100.0]),
            late=generator.choice([0.5, 20.0, 200.0]),
        )
        kinds: list[Fault] = ["kill", "kill", "interrupt", "interrupt twice", "full", "read-only"]
        count = generator.randint(0, _MOST_FAULTS)
        on_node = generator.randint(1, 4)
        of_driver = tuple((generator.choice(kinds), generator.random()) for _ in range(count))
        return cls(seed, settings, workers, on_node, rates, of_driver)

    @property
    def repeatable(self) -> bool:
        """Whether the record does not depend on the order in which trials end."""
        independent = self.settings["engine"] == "optuna:random"
        return self.workers == 1 or (independent and self.settings["pruner"] == "none")


@dataclass
class StepsOfDriver(Steps):
    """Kills or interrupts this process, the driver, at one of its writes."""

    to_driver: Fault | None = None

    def step(self, what: str, error: Any) -> None:
        number = len(self.names)
        if number == self.at and self.to_driver in ("kill", "power"):
            os.kill(os.getpid(), signal.SIGKILL)
        interrupts = {"interrupt": (self.at,), "interrupt twice": (self.at, self.at + 3)}
        if number in interrupts.get(self.to_driver or "", ()):
            signal.raise_signal(signal.SIGINT)
        super().step(what, error)


def launch(plan: Plan, root: Path, *, disturbed: bool, seed: int) -> int:
    """Launches a study as the command does, and returns the exit code."""
    description = describe(**{"name": NAME, "keep": 1, "seed": plan.seed, **plan.settings})
    workers = SimulatedWorkers(
        description,
        plan.workers,
        seed,
        infeasible=lambda spec: spec.values["units"] > 58,
        faults=plan.faults if disturbed else Faults(),
        on_node=plan.on_node,
        saves=True,
    )
    run = telling_errors(lambda: run_study(workers, store=root, workers=plan.workers, report=False))
    with mock.patch.object(time, "monotonic", workers.now):
        try:
            run()
        except SystemExit as error:
            return int(str(error.code))
    return 0


def in_child(action: Callable[[], int], errors: Path) -> int:
    """Runs an action in a forked process, and returns its exit code, negative for a signal."""
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


@dataclass
class Campaign:
    """A study that runs first without faults, and then with them.

    `template` is a new store, which is copied. If it is None, the launches make the store.
    """

    plan: Plan
    folder: Path
    template: Path | None
    happened: Counter[str] = field(default_factory=Counter)

    def undisturbed(self) -> dict[str, Any]:
        """Returns the steps and the record of the study without faults."""
        self.folder.mkdir(parents=True)
        self._answer, self._errors = self.folder / "answer.json", self.folder / "errors"
        root = self._new_store("calm")
        code = in_child(lambda: self._launch(root, None, 99), self._errors)
        assert code == 0, f"undisturbed it ended by {code}: {self._errors.read_text()}"
        self._expected = json.loads(self._answer.read_text())
        return dict(self._expected)

    def disturbed(self, faults: Iterable[tuple[Fault, int]]) -> list[str]:
        """Launches once with each fault, then without; returns what is wrong with the record."""
        root = self._new_store("store")
        for number, fault in enumerate([*faults, None]):
            code = in_child(lambda f=fault, n=number: self._launch(root, f, n), self._errors)
            errors = self._errors.read_text()
            if code == 0:
                break
            if fault is None or not _as_it_should(fault[0], code, errors):
                return [f"launch {number} ({fault}) ended by {code}: {errors}"]
            self.happened[fault[0]] += 1
            if fault[0] == "power":
                _lose_the_last(root, random.Random(fault[1]))
        answered = json.loads(self._answer.read_text())
        self.happened += Counter(answered["happened"])
        problems = [*answered["left"], *answered["broken"]]
        if self.plan.repeatable:
            problems += study_record.differences_of_trainings(
                self._expected["record"], answered["record"], self.plan.workers
            )
        # After lost power, the journal may lack the entry of a model that is in the store.
        return [f for f in problems if not self.happened["power"] or "a model of no" not in f]

    def _new_store(self, name: str) -> Path:
        root = self.folder / name
        shutil.rmtree(root, ignore_errors=True)
        if self.template is not None:
            shutil.copytree(self.template, root)
        return root

    def _launch(self, root: Path, fault: tuple[Fault, int] | None, number: int) -> int:
        """Launches in a forked process, and reads the record if the study is complete."""
        steps = StepsOfDriver(root)
        if fault is not None:
            steps.to_driver, steps.at = fault
            if fault[0] in ("full", "read-only"):
                steps.fault = fault[0]
        steps.watch()
        # The clocks of two launches differ.
        seed = self.plan.seed * 100 + number
        code = launch(self.plan, root, disturbed=root.name != "calm", seed=seed)
        if code == 0:
            step_names = [*steps.names]
            answer = {
                "steps": step_names,
                "record": study_record.read_record(root, NAME),
                "left": study_record.left_behind(root),
                "broken": list(broken(root, NAME, self.plan.settings["trials"])),
                "happened": {"interrupted trainings": interrupted(root)},
            }
            self._answer.write_text(json.dumps(answer))
        return code


def _lose_the_last(root: Path, rng: random.Random) -> None:
    """Cuts off or spoils a part of the last quarter of each journal's write-ahead log."""
    for log in root.glob("*/journal.db-wal"):
        size = log.stat().st_size
        length = size - rng.randrange(size // 4 + 1)
        os.truncate(log, length)
        if rng.random() < 0.5:
            # SQLite notices it by its checksums.
            with log.open("ab") as file:
                file.write(rng.randbytes(size - length))


def _as_it_should(fault: Fault, code: int, message: str) -> bool:
    if fault in ("kill", "power"):
        return code == -signal.SIGKILL
    if fault in ("full", "read-only"):
        return code == 2 and message.startswith("kerastudy: ") and message.count("\n") == 1
    return code == 130


def campaigns(folder: Path, seeds: Iterable[int]) -> Iterator[tuple[Campaign, list[str]]]:
    """Runs the study of each seed, and yields its campaign with what is wrong afterwards."""
    template = _template(folder)
    for seed in seeds:
        campaign = Campaign(Plan.of(seed), folder / f"study-{seed}", template)
        try:
            steps = len(campaign.undisturbed()["steps"])
            faults = [(kind, int(share * steps)) for kind, share in campaign.plan.of_driver]
            problems = campaign.disturbed(faults)
        except AssertionError as error:
            problems = [str(error)]
        yield campaign, problems
        if not problems:
            shutil.rmtree(campaign.folder)


# Its trials end in every way, and a later trial is better than the first.
EACH_STATE = Plan(
    0, {"trials": 4, "epochs": 3, "pruner": "successive-halving", "engine": "optuna:random"}
)
OF_FOLDS = Plan(
    0, {"trials": 2, "epochs": 2, "folds": 2, "cross_validation": "2", "engine": "optuna:random"}
)


def at_each_step(
    folder: Path, fault: Fault, *, every: bool, new_store: bool = False, folds: bool = False
) -> dict[str, Any]:
    """Runs a study, or a study with `folds`, again and again, with a fault at another step.

    The steps are `every` step, or the last step for each table and folder. With `new_store`, they
    are the steps that make the store, otherwise the steps after that. Returns what went wrong at
    which step.
    """
    campaign = Campaign(
        OF_FOLDS if folds else EACH_STATE,
        folder / "steps",
        None if new_store else _template(folder),
    )
    answer = campaign.undisturbed()
    steps = dict(enumerate(answer["steps"]))
    if new_store:
        begun = next(at for at, step in steps.items() if "UPDATE study" in step)
        steps = {at: step for at, step in steps.items() if at <= begun}
    if fault in ("full", "read-only"):
        # A full disk refuses writes that need room. A read-only disk is tried with the others.
        needed = fault == "full"
        steps = {n: s for n, s in steps.items() if s.startswith(NEEDS_NO_ROOM) != needed}
    if not every:
        last = {_place(step): at for at, step in steps.items()}
        steps = {at: step for at, step in steps.items() if last[_place(step)] == at}
    wrong = {f"{at} {what}": campaign.disturbed([(fault, at)]) for at, what in steps.items()}
    return {
        "tried": [*steps.values()],
        "failures": {at: failures for at, failures in wrong.items() if failures},
        "states": [trial["state"] for trial in answer["record"]["trials"].values()],
        "champions": len(answer["record"]["champion"]),
    }


def _place(step: str) -> str:
    """Returns the table of a step, or the folder of its files."""
    what, _, table = step.partition(":")
    if table:
        return f"{what}{table.split(',')[0]}"
    return re.sub(r"[0-9a-f]{32}|\d+", "…", step).partition("/")[0]


def _template(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    template = folder / "template"
    assert in_child(lambda: create_store(template) and 0, folder / "errors") == 0
    return template


def broken(root: Path, name: str, expected: int) -> Iterator[str]:
    """Yields what is wrong with a complete study's record, which is read by SQL.

    No record may have these faults, whatever has happened. `expected` is the number of trials.
    """
    journal = study_record.folder_of(root, name) / "journal.db"
    with contextlib.closing(sqlite3.connect(journal)) as database:
        trials = database.execute("SELECT number, spec ->> 'attempt', state FROM trials").fetchall()
        fits = database.execute("SELECT id, spec, state FROM fits WHERE trial != ''").fetchall()
        curves: dict[int, list[tuple[int, float]]] = defaultdict(list)
        for fit, epoch, metrics in database.execute(
            "SELECT fit, epoch, metrics FROM epochs ORDER BY id"
        ):
            curves[fit].append((epoch, json.loads(metrics)["val_loss"]))
    ended = Counter(number for number, _, state in trials if state in FINISHED_STATES)
    if sorted(ended.elements()) != list(range(expected)):
        yield f"trials with a result: {sorted(ended.elements())}"
    attempts = Counter((number, attempt) for number, attempt, _ in trials)
    for (number, attempt), count in attempts.items():
        if count > 1:
            yield f"attempt {attempt} at trial {number} is there {count} times"
    for fit, text, state in fits:
        spec = from_json(TrialSpec, text)
        epochs = [epoch for epoch, _ in curves[fit]]
        if epochs != list(range(1, len(epochs) + 1)):
            yield f"trial {spec.number} ({state}) has epochs {epochs}"
        wrong = [epoch for epoch, value in curves[fit] if value != loss(spec, epoch)]
        if wrong:
            yield f"trial {spec.number} ({state}) has other values in epochs {wrong}"
        if state == "complete" and len(epochs) != spec.epochs:
            yield f"trial {spec.number} is complete, after {len(epochs)} epochs"


def interrupted(root: Path) -> int:
    """Returns how many attempts and fits were interrupted, and so have no result."""
    count = 0
    for journal in root.glob("*/journal.db"):
        with contextlib.closing(sqlite3.connect(journal)) as database:
            for table in ("trials", "fits"):
                query = f"SELECT count(*) FROM {table} WHERE state = 'interrupted'"
                count += database.execute(query).fetchone()[0]
    return count


def prepare(folder: Path) -> None:
    """Runs a study once, so that forked processes have imported all that a launch needs."""
    plan = Plan(0, {"trials": 1, "epochs": 1})
    assert launch(plan, folder / "prepared", disturbed=False, seed=0) == 0
    study_record.read_record(folder / "prepared", NAME)
    study_record.left_behind(folder / "prepared")
    assert "tensorflow" not in sys.modules, "something brought TensorFlow along"


def main() -> None:
    """Answers each order with what happened, and with what went wrong at which step."""
    prepare(Path(sys.argv[1]))
    for line in sys.stdin:
        order = json.loads(line)
        folder = Path(order.pop("folder"))
        if "seeds" in order:
            ran = [*campaigns(folder, order["seeds"])]
            happened = sum((campaign.happened for campaign, _ in ran), Counter[str]())
            failures = {str(campaign.plan): failures for campaign, failures in ran if failures}
            answer: dict[str, Any] = {"happened": happened, "failures": failures}
        else:
            answer = at_each_step(folder, **order)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
