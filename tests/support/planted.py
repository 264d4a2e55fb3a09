"""Records made-up studies that have at most one fault. Nothing is trained."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from handmade import ENVIRONMENT, make_spec
from scripted import describe

import kerastudy as ks
from search_spaces import SearchSpace
from tracking.history import StudyHistory, read_study
from tracking.journal import Journal
from tracking.records import (
    BestEpoch,
    DataDescription,
    EpochResult,
    Objective,
    Proposal,
    Repeat,
    TrialResult,
)
from tracking.store import create_store

SPACE = SearchSpace(
    ks.Float("learning_rate", 1e-4, 1.0, scale="log"),
    ks.Float("dropout", 0.0, 0.5),
    ks.Int("units", 16, 256, scale="log"),
    ks.Boolean("batch_normalization", role="scientific"),
)
ACCURACY = Objective("val_accuracy", "max")

Values = Mapping[str, Any]


def hill(values: Values) -> float:
    """Returns the accuracy on a smooth landscape, whose maximum is well inside all ranges."""
    rate = (np.log10(values["learning_rate"]) + 2) / 2
    return float(0.95 - 0.25 * rate**2 - 0.4 * (values["dropout"] - 0.25) ** 2)


def sound_curve(accuracy: float, epochs: int, random: np.random.Generator) -> np.ndarray:
    """Returns accuracies by epoch that reach a value in the middle of the training, and stay."""
    time = np.arange(1, epochs + 1)
    return accuracy - 0.3 * np.exp(-time / (epochs / 9)) - random.normal(0, 0.0015, epochs)


def usual_training(curve: np.ndarray) -> np.ndarray:
    """Returns the curve on training data, which is a little better."""
    return np.minimum(curve + 0.02, 1.0)


@dataclass
class Planted:
    """The definition of a made-up study.

    Attributes:
        accuracy: Returns the accuracy of hyperparameters.
        curve: Returns a trial's validation accuracies by epoch.
        training: Returns the accuracies on training data, from those on validation data.
        infeasible: Returns why a trial has no value, or an empty text.
        pruned: Returns the number of epochs after which a trial is pruned, or None.
        further: Returns fields that replace those of a trial's result.
    """

    accuracy: Callable[[Values], float] = hill
    curve: Callable[[float, int, np.random.Generator], np.ndarray] = sound_curve
    training: Callable[[np.ndarray], np.ndarray] = usual_training
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
        """Records the study in a store in a folder."""
        random = np.random.default_rng(self.seed)
        store = create_store(folder)
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
        journal = Journal.begin(store.root / "planted", description)
        with journal.together():
            for number in range(self.trials):
                self._record(journal, number, random)
        journal.end("FINISHED", "trials", "all trials are done")
        return read_study(store, description.name)

    def _record(self, journal: Journal, number: int, random: np.random.Generator) -> None:
        values = drawn(self.space, random)
        spec = make_spec(number, values=values, epochs=self.epochs, objective=ACCURACY)
        uuid = journal.begin_trial(spec, Proposal(number, values), ENVIRONMENT)
        reason = self.infeasible(values)
        if reason:
            result = TrialResult(number, "infeasible", reason=reason, **self.further(values))
            journal.end_trial(uuid, result)
            return
        repeats, bests = [], []
        for repeat in range(self.seeds):
            fit = journal.begin_fit(uuid, replace(spec, repeat=repeat), only=self.seeds == 1)
            value = self.accuracy(values) + float(random.normal(0, self.spread))
            curve = self.curve(value, self.epochs, random)
            stop = self.pruned(curve, number)
            curve = curve[:stop]
            metrics = {
                "val_accuracy": curve,
                "accuracy": self.training(curve),
                "loss": 1 - usual_training(curve),
                "val_loss": 1.02 - curve,
            }
            for epoch in range(len(curve)):
                of_epoch = {name: float(by_epoch[epoch]) for name, by_epoch in metrics.items()}
                journal.log_epoch(fit, EpochResult(number, epoch + 1, of_epoch, 0.1, repeat))
            best = int(np.argmax(curve))
            at_best = {name: float(by_epoch[best]) for name, by_epoch in metrics.items()}
            bests.append(BestEpoch(best + 1, float(curve[best]), at_best))
            repeats.append(Repeat(repeat, fit, len(curve), bests[-1], "", 1.0))
        mean = replace(bests[0], value=float(np.mean([best.value for best in bests])))
        result = TrialResult(
            number,
            "pruned" if stop is not None else "complete",
            epochs=len(curve),
            best=mean,
            seconds=1.0,
            repeats=tuple(repeats) if self.seeds > 1 else (),
        )
        journal.end_trial(uuid, replace(result, **self.further(values)))


def drawn(space: SearchSpace, random: np.random.Generator) -> dict[str, Any]:
    """Draws values evenly in the sampling scale. Inactive hyperparameters have none."""
    values: dict[str, Any] = {}
    for parameter in space:
        if all(values.get(name) in allowed for name, allowed in parameter.when.items()):
            values[parameter.name] = parameter.from_unit(float(random.uniform()))
    return values
