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
from studies.training import (
    CompiledTrainer,
    Trainer,
    configure_tensorflow,
    read_state,
    run_trial,
    weights_digest,
)
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


def none() -> list[keras.callbacks.Callback]:
    return []


# The model, its callbacks, and how many epochs are in the state of a training that is cut after the
# second one, if there is a state; last, from which epoch it goes on.
CASES: dict[str, tuple[Callable[[], keras.Model], Callbacks, int | None, int]] = {
    "variables of a loss and a metric": (lambda: with_state(Moving, Lasting), none, None, 0),
    "a generator that is made late": (lambda: with_state(MakingLate), none, None, 0),
    "a variable of TensorFlow's": (lambda: compiled(stack(Holding())), none, None, 0),
    "an unseeded draw": (lambda: compiled(stack(Unseeded())), none, None, 0),
    "a closure": (small, closing_over, None, 0),
    "a schedule": (small, by_epoch, 2, 2),
    "a schedule that counts": (small, counting, None, 0),
}


@pytest.mark.parametrize("what", exhaustive_but(["a closure", "a schedule"], CASES))
def test_cut_and_gone_on_with(what: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    configure_tensorflow(None)
    build, callbacks, kept, _ = CASES[what]
    splits, spec, trainer = samples(), spec_of(4), CompiledTrainer()
    data = ks.datasets.arrays(
        *(splits.train.x, splits.train.y),
        validation=(splits.validation.x, splits.validation.y),
        test=None,
    )
    study = ks.Study(
        "cut", data=data, build=lambda hp: build(), space=SPACE, callbacks=lambda hp: callbacks()
    )

    def run(
        trainer: Trainer, attempt: int, until: int, **files: Any
    ) -> tuple[TrialResult, dict[int, Any]]:
        found: dict[int, Any] = {}

        def on_epoch(epoch: Any) -> Any:
            found[epoch.epoch] = epoch.metrics
            return "stop" if epoch.epoch == until else "continue"

        task = TrialTask(
            dataclasses.replace(spec, attempt=attempt), SPACE, tmp_path / "best.weights.h5", **files
        )
        return run_trial(study, splits, task, on_epoch, trainer), found

    fitted = by_fit(build, splits, spec, callbacks())
    state = tmp_path / "trial.state"
    cut, _ = run(trainer, 1, 2, state=state)
    assert state.exists() == (kept is not None), cut.trainer_reason
    if kept is None:
        assert "starts from its first epoch" in cut.trainer_reason
    else:
        assert len(read_state(state).epochs) == kept
    with caplog.at_level(logging.WARNING):
        again, found = run(CompiledTrainer(), 2, 9, state=state)
    assert list(found.values()) == [epoch.metrics for epoch in fitted]
    best = min(fitted, key=lambda epoch: epoch.metrics["val_loss"])
    assert again.weights_sha256 == weights_digest(best.weights)
    told = [record.getMessage() for record in caplog.records]
    assert any("trained from its first epoch" in text for text in told) == (
        kept is not None and CASES[what][3] == 0
    )
