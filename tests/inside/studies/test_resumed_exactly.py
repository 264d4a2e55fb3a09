"""A training that is cut and goes on comes to what it comes to uncut, whatever keeps state."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import pytest
from exact_training import SPACE, by_fit, samples, spec_of
from losses_and_metrics import Lasting, MakingLate, Moving, with_state
from model_zoo import Holding, Unseeded, compiled, stack
from suite import exhaustive_but

import kerastudy as ks
from studies.training import CompiledTrainer, read_state, run_trial, weights_digest
from tracking.records import TrialResult, TrialTask

layers = keras.layers
Callbacks = Callable[[], Sequence[keras.callbacks.Callback]]


def small() -> keras.Model:
    return compiled(stack(layers.Dense(4), layers.Dropout(0.3)), "sgd")


def closing_over() -> list[keras.callbacks.Callback]:
    seen: list[float] = []

    class Slowing(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            seen.append(logs["val_loss"])
            self.model.optimizer.learning_rate = 0.1 / len(seen)

    return [Slowing()]


def counting() -> list[keras.callbacks.Callback]:
    seen: list[int] = []

    def slower(epoch: int, rate: float) -> float:
        seen.append(epoch)
        return 0.1 / len(seen)

    return [keras.callbacks.LearningRateScheduler(slower)]


def by_epoch() -> list[keras.callbacks.Callback]:
    return [keras.callbacks.LearningRateScheduler(lambda epoch: 0.1 / (epoch + 1))]


# The model, and its callbacks.
CASES: dict[str, tuple[Callable[[], keras.Model], Callbacks]] = {
    "variables of a loss and a metric": (lambda: with_state(Moving, Lasting), list),
    "a generator that is made late": (lambda: with_state(MakingLate), list),
    "a variable of TensorFlow's": (lambda: compiled(stack(Holding())), list),
    "an unseeded draw": (lambda: compiled(stack(Unseeded())), list),
    "a closure": (small, closing_over),
    "a schedule": (small, by_epoch),
    "a schedule that counts": (small, counting),
}


@pytest.mark.parametrize("what", exhaustive_but(["a closure", "a schedule"], CASES))
def test_cut_and_gone_on_with(what: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    build, callbacks = CASES[what]
    splits, spec, state = samples(), spec_of(4), tmp_path / "trial.state"
    study = ks.Study(
        "cut",
        data=ks.datasets.arrays(splits.train.x, splits.train.y),
        build=lambda hp: build(),
        space=SPACE,
        callbacks=lambda hp: callbacks(),
    )

    def run(attempt: int, until: int) -> tuple[TrialResult, dict[int, Any]]:
        found: dict[int, Any] = {}

        def on_epoch(epoch: Any) -> Any:
            found[epoch.epoch] = epoch.metrics
            return "stop" if epoch.epoch == until else "continue"

        fit = dataclasses.replace(spec, attempt=attempt)
        task = TrialTask(fit, SPACE, tmp_path / "best.weights.h5", state)
        return run_trial(study, splits, task, on_epoch, CompiledTrainer()), found

    fitted = by_fit(build, splits, spec, callbacks())
    cut, _ = run(1, until=2)
    if what == "a schedule":
        assert len(read_state(state).epochs) == 2
    else:
        assert not state.exists() and "starts from its first epoch" in cut.trainer_reason
    with caplog.at_level(logging.WARNING):
        again, found = run(2, until=9)
    assert list(found.values()) == [epoch.metrics for epoch in fitted]
    best = min(fitted, key=lambda epoch: epoch.metrics["val_loss"])
    assert again.weights_sha256 == weights_digest(best.weights)
    assert "trained from its first epoch" not in caplog.text
