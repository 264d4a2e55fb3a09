"""Studies made by hand, in which at most one fault is planted; nothing is trained or recorded.

The trials are in memory, their curves in a database with MLflow's table of metrics and nothing
else, which is all that a reading of curves needs: a study takes milliseconds.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from handmade import make_spec
from scripted import describe

import kerastudy as ks
from search_spaces import SearchSpace
from tracking.history import StudyHistory
from tracking.records import (
    BestEpoch,
    DataDescription,
    EndedTrial,
    Objective,
    Repeat,
    TrialRecord,
    TrialResult,
)
from tracking.runs import StudyFiles

SPACE = SearchSpace(
    ks.Float("learning_rate", 1e-4, 1.0, scale="log"),
    ks.Float("dropout", 0.0, 0.5),
    ks.Int("units", 16, 256, scale="log"),
    ks.Boolean("batch_normalization", role="scientific"),
)
ACCURACY, LOSS = Objective("val_accuracy", "max"), Objective("val_loss", "min")

Values = Mapping[str, Any]


def hill(values: Values) -> float:
    """A smooth landscape whose best lies well inside all ranges: an accuracy."""
    rate = (np.log10(values["learning_rate"]) + 2) / 2
    return float(0.95 - 0.25 * rate**2 - 0.4 * (values["dropout"] - 0.25) ** 2)


def sound_curve(accuracy: float, epochs: int, random: np.random.Generator) -> np.ndarray:
    """Accuracies by epoch that reach a value by the middle of the training, and stay there."""
    time = np.arange(1, epochs + 1)
    return accuracy - 0.3 * np.exp(-time / (epochs / 9)) - random.normal(0, 0.0015, epochs)


def usual_training(curve: np.ndarray) -> np.ndarray:
    """The same on training data: a little better."""
    return np.minimum(curve + 0.02, 1.0)


@dataclass
class Planted:
    """A study to make.

    Attributes:
        accuracy: The landscape.
        curve: A trial's accuracies by epoch, of its value.
        training: Those on training data.
        loss: The loss on training data by epoch; `val_loss` likewise on validation data.
        infeasible: Why a trial has no value, or empty.
        pruned: How many epochs a trial trains until it is pruned, or None.
        further: What differs in a trial's result.
    """

    accuracy: Callable[[Values], float] = hill
    curve: Callable[[float, int, np.random.Generator], np.ndarray] = sound_curve
    training: Callable[[np.ndarray], np.ndarray] = usual_training
    loss: Callable[[np.ndarray], np.ndarray] = lambda curve: 1 - usual_training(curve)
    val_loss: Callable[[np.ndarray], np.ndarray] = lambda curve: 1.02 - curve
    infeasible: Callable[[Values], str] = lambda values: ""
    pruned: Callable[[np.ndarray, int], int | None] = lambda curve, number: None
    further: Callable[[Values], dict[str, Any]] = lambda values: {}
    space: SearchSpace = SPACE
    trials: int = 40
    epochs: int = 20
    seeds: int = 1
    spread: float = 0.002
    seed: int = 0
    samples: int = 5000
    settings: dict[str, Any] = field(default_factory=dict)

    def history(self, folder: Path) -> StudyHistory:
        """Makes the study in a folder."""
        random = np.random.default_rng(self.seed)
        points: list[tuple[str, str, int, float]] = []
        trials: list[TrialRecord] = []
        for number in range(self.trials):
            trials.append(self._trial(number, random, points))
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / "mlflow.db", points)
        description = describe(
            **{
                "name": "planted",
                "space": self.space,
                "objective": ACCURACY,
                "trials": self.trials,
                "epochs": self.epochs,
                "repeats": self.seeds,
                "data": DataDescription(
                    "made up", "", "d" * 64, {}, {"train": 20_000, "validation": self.samples}, {}
                ),
                **self.settings,
            }
        )
        run = SimpleNamespace(data=SimpleNamespace(tags={}))
        client = SimpleNamespace(
            get_run=lambda run_id: run, search_runs=lambda *given, **options: _Page()
        )
        store = SimpleNamespace(root=folder, client=client)
        history = StudyHistory(
            store=store,  # type: ignore[arg-type]
            description=description,
            engines=(description.engine,),
            experiment_id="1",
            parent_run_id="parent",
            status="FINISHED",
            trials=tuple(trials),
            champion_run_id="",
        )
        history.__dict__["files"] = StudyFiles(folder / "files")
        return history

    def _trial(self, number: int, random: np.random.Generator, points: list[Any]) -> EndedTrial:
        values = drawn(self.space, random)
        spec = make_spec(number, values=values, epochs=self.epochs, objective=ACCURACY)
        record = TrialRecord(f"run-{number}", spec, "running", None, {}, {}, "", 1)
        reason = self.infeasible(values)
        if reason:
            return record.with_result(
                TrialResult(number, "infeasible", reason=reason, **self.further(values))
            )
        repeats, bests = [], []
        for repeat in range(self.seeds):
            run_id = f"run-{number}" if self.seeds == 1 else f"run-{number}-{repeat}"
            value = self.accuracy(values) + float(random.normal(0, self.spread))
            curve = self.curve(value, self.epochs, random)
            stop = self.pruned(curve, number)
            curve = curve[:stop]
            metrics = {
                "val_accuracy": curve,
                "accuracy": self.training(curve),
                "loss": self.loss(curve),
                "val_loss": self.val_loss(curve),
            }
            for name, by_epoch in metrics.items():
                points += [(run_id, name, e, float(v)) for e, v in enumerate(by_epoch, start=1)]
            best = int(np.argmax(curve))
            at_best = {name: float(by_epoch[best]) for name, by_epoch in metrics.items()}
            bests.append(BestEpoch(best + 1, float(curve[best]), at_best))
            repeats.append(Repeat(repeat, run_id, len(curve), bests[-1], "", 1.0))
        mean = replace(bests[0], value=float(np.mean([best.value for best in bests])))
        result = TrialResult(
            number,
            "pruned" if stop is not None else "complete",
            epochs=len(curve),
            best=mean,
            seconds=1.0,
            repeats=tuple(repeats) if self.seeds > 1 else (),
        )
        return record.with_result(replace(result, **self.further(values)))


class _Page(list[Any]):
    """A page of a search that finds nothing."""

    token = None


def drawn(space: SearchSpace, random: np.random.Generator) -> dict[str, Any]:
    """Values drawn evenly in the sampling scale; inactive ones are left out."""
    values: dict[str, Any] = {}
    for parameter in space:
        if all(values.get(name) in allowed for name, allowed in parameter.when.items()):
            values[parameter.name] = parameter.from_unit(float(random.uniform()))
    return values


def _write(path: Path, points: Sequence[tuple[str, str, int, float]]) -> None:
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE metrics (run_uuid, key, step, value, is_nan, timestamp)")
        database.executemany("INSERT INTO metrics VALUES (?, ?, ?, ?, 0, 0)", points)
        database.commit()
