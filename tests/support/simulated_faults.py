"""Studies on simulated workers where everything fails that can, as a seed decides.

Workers die, fall silent and send late, or send twice; nodes are lost; the driver is killed or
interrupted at some step of what it writes, or its writes are refused, and it is launched again. The
driver, the engine and the store are real. Each launch is a forked process, with a clock of its own:
the same seed does the same again.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal
from unittest import mock

import faults
import study_record
from faults import in_child
from scripted import describe, loss, run_study, save_made_up_model, write_checkpoint
from unbroken import broken, interrupted
from write_steps import Steps

from benchmarks.many_workers.cluster import Faults, SimulatedCluster, Training
from search_spaces import SearchSpace
from studies.commands import telling_errors
from studies.progress import NoProgress
from tracking.records import StudyDescription, TrialResult, TrialSpec
from tracking.store import create_store

Fault = Literal["kill", "interrupt", "interrupt twice", "full", "read-only"]
NAME = "simulated"
# A launch that is interrupted over and over comes to an end.
_MOST_FAULTS = 3


class Workers(SimulatedCluster):
    """Workers whose trainings leave what real ones do."""

    def is_infeasible(self, spec: TrialSpec) -> bool:
        return bool(spec.values["units"] > 58)

    def ended(self, training: Training, result: TrialResult) -> TrialResult:
        task, spec = training.task, training.spec
        if self.is_infeasible(spec):
            reason = "the builder raised ValueError: no"
            return TrialResult(spec.number, "infeasible", reason=reason, repeat=spec.repeat)
        digest = ""
        if result.state != "interrupted" and result.best and task.may_stay(result.best):
            digest = write_checkpoint(task.checkpoint, spec)
        return replace(
            result,
            weights_sha256=hashlib.sha256(f"{result.best}".encode()).hexdigest(),
            checkpoint_sha256=digest,
            unsaved="",
            trainer="plain",
        )

    def save_champion(
        self, spec: TrialSpec, checkpoint: Path, space: SearchSpace, folder: Path
    ) -> dict[str, float]:
        return save_made_up_model(folder, checkpoint)


@dataclass(frozen=True)
class Plan:
    """A study, and what happens to it.

    Attributes:
        seed: All else follows from it.
        settings: Of the study.
        workers: How many there are, so many on a node.
        faults: Of workers and nodes.
        of_driver: What happens to each launch's driver, and after what share of its steps.
    """

    seed: int
    settings: dict[str, Any]
    workers: int
    on_node: int
    faults: Faults
    of_driver: tuple[tuple[Fault, float], ...]

    @classmethod
    def of(cls, seed: int) -> Plan:
        """Draws one."""
        drawn = random.Random(seed)
        workers = drawn.choice([1, 2, 3, 4, 6, 9])
        settings: dict[str, Any] = {
            "seed": seed,
            "trials": drawn.randint(4, 14),
            "epochs": drawn.randint(1, 4),
            "keep": drawn.choice([1, 3, None]),
            "pruner": drawn.choice(["none", "median,n_startup_trials=2", "successive-halving"]),
            "engine": drawn.choice(["optuna:tpe", "optuna:tpe", "optuna:random"]),
            "deterministic": drawn.random() < 0.7,
        }
        kind = drawn.random()
        if kind < 0.15:
            settings |= {"repeats": 2, "trials": drawn.randint(2, 5)}
        elif kind < 0.3:
            settings |= {"folds": 2, "cross_validation": "2", "trials": drawn.randint(2, 5)}
        rates = Faults(
            dies=drawn.choice([0.0, 0.1, 0.3]),
            silent=drawn.choice([0.0, 0.1, 0.3]),
            twice=drawn.choice([0.0, 0.2, 0.5]),
            nodes=drawn.choice([0.0, 60.0, 240.0]),
            noticed=drawn.choice([0.0, 1.0, 10.0]),
            replaced=drawn.choice([0.0, 5.0, 100.0]),
            late=drawn.choice([0.5, 20.0, 200.0]),
        )
        kinds: list[Fault] = ["kill", "kill", "interrupt", "interrupt twice", "full", "read-only"]
        count = drawn.randint(0, _MOST_FAULTS)
        return cls(
            seed,
            settings,
            workers,
            drawn.randint(1, 4),
            rates,
            tuple((drawn.choice(kinds), drawn.random()) for _ in range(count)),
        )

    def __str__(self) -> str:
        settings = ", ".join(f"{k} {v}" for k, v in self.settings.items() if k != "seed")
        drivers = ", ".join(f"{kind} at {share:.0%}" for kind, share in self.of_driver) or "nothing"
        return (
            f"seed {self.seed}: {settings}; {self.workers} workers, {self.on_node} on a node; "
            f"{self.faults}; to its driver {drivers}"
        )

    @property
    def repeatable(self) -> bool:
        """Whether the study is promised to be the same on any clock."""
        return bool(self.settings["deterministic"]) or self.workers == 1

    @property
    def description(self) -> StudyDescription:
        """The study."""
        return describe(name=NAME, **self.settings)


@dataclass
class StepsOfDriver(Steps):
    """Does something to this process at a step of what it writes."""

    to_driver: Fault | None = None

    def step(self, what: str, error: Any) -> None:
        if len(self.seen) == self.at and self.to_driver == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if len(self.seen) == self.at and self.to_driver in ("interrupt", "interrupt twice"):
            signal.raise_signal(signal.SIGINT)
        twice = self.to_driver == "interrupt twice" and len(self.seen) == self.at + 3
        if twice:
            signal.raise_signal(signal.SIGINT)
        super().step(what, error)


def launch(plan: Plan, root: Path, *, disturbed: bool, seed: int) -> int:
    """Launches a study as the command does; returns the exit code."""
    workers = Workers(
        plan.description,
        plan.workers,
        lambda spec, epoch: {"loss": loss(spec, epoch) / 2, "val_loss": loss(spec, epoch)},
        faults=plan.faults if disturbed else Faults(),
        seed=seed,
        on_node=plan.on_node,
        spent=lambda: 0.0,
    )
    run = telling_errors(
        lambda: run_study(
            workers, store=root, progress=NoProgress(), workers=plan.workers, report=False
        )
    )
    with mock.patch.object(time, "monotonic", workers.now):
        try:
            run()
        except SystemExit as error:
            return int(str(error.code))
    return 0


@dataclass
class Campaign:
    """A study that is run twice: undisturbed, and by a plan.

    Attributes:
        plan: What happens.
        folder: For both.
        template: A new store, to be copied.
        happened: What did happen.
    """

    plan: Plan
    folder: Path
    template: Path
    happened: Counter[str] = field(default_factory=Counter)

    def run(self) -> list[str]:
        """Returns what is wrong with the record of the disturbed study."""
        self.folder.mkdir(parents=True)
        calm, store, answer = (self.folder / name for name in ("calm", "store", "answer.json"))
        self._answer, self._errors = answer, self.folder / "errors"
        shutil.copytree(self.template, calm)
        shutil.copytree(self.template, store)
        code = in_child(lambda: self._launch(calm, None), self._errors)
        if code != 0:
            return [f"undisturbed it ended by {code}: {self._errors.read_text()}"]
        expected = json.loads(answer.read_text())
        found = []
        waiting = [(kind, int(share * expected["steps"])) for kind, share in self.plan.of_driver]
        for number, fault in enumerate([*waiting, None]):
            code = in_child(lambda f=fault, n=number: self._launch(store, f, n), self._errors)
            told = self._errors.read_text()
            if code == 0:
                break
            if fault is None or not _as_it_should(fault[0], code, told):
                return [f"launch {number} ({fault}) ended by {code}: {told}"]
            self.happened[fault[0]] += 1
        answered = json.loads(answer.read_text())
        self.happened += Counter(answered["happened"])
        if self.plan.repeatable:
            found += study_record.differences(expected["record"], answered["record"])
        return found + answered["left"] + answered["broken"]

    def _launch(self, root: Path, fault: tuple[Fault, int] | None, number: int = 0) -> int:
        """Launches, in a process of its own, and reads the record if the study is complete."""
        calm, steps = root.name == "calm", StepsOfDriver(root)
        if fault is not None:
            steps.at, steps.to_driver = fault[1], fault[0]
            if fault[0] in ("full", "read-only"):
                steps.fault = fault[0]
        steps.watch()
        # The clocks of two launches differ.
        seed = self.plan.seed * 100 + (99 if calm else number)
        code = launch(self.plan, root, disturbed=not calm, seed=seed)
        if code == 0:
            seen = len(steps.seen)
            description = self.plan.description
            answer = {
                "steps": seen,
                "record": study_record.read_record(root, NAME, description.engine),
                "left": study_record.left_behind(root),
                "broken": list(broken(root, description)),
                "happened": {"interrupted trainings": interrupted(root)},
            }
            self._answer.write_text(json.dumps(answer))
        return code


def _as_it_should(fault: Fault, code: int, told: str) -> bool:
    if fault == "kill":
        return code == -signal.SIGKILL
    if fault in ("full", "read-only"):
        return code == 2 and told.startswith("kerastudy: ") and told.count("\n") == 1
    return code == 130


def prepare(folder: Path) -> None:
    """Imports and prepares all that a launch needs, once: forked processes have it then."""
    assert faults.launch(folder / "prepared", {"trials": 1, "epochs": 1}) == 0
    study_record.read_record(folder / "prepared", "faults")
    study_record.left_behind(folder / "prepared")


def campaigns(folder: Path, seeds: Iterable[int]) -> Iterator[tuple[Campaign, list[str]]]:
    """Runs the study of each seed; yields what happened, and what is wrong then."""
    template = folder / "template"
    folder.mkdir(parents=True, exist_ok=True)
    assert in_child(lambda: create_store(template) and 0, folder / "errors") == 0
    for seed in seeds:
        campaign = Campaign(Plan.of(seed), folder / f"study-{seed}", template)
        found = campaign.run()
        yield campaign, found
        if not found:
            shutil.rmtree(campaign.folder)
