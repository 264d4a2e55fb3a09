"""If anything fails in the compiled trainer, `model.fit` trains from the first epoch."""

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from conformance.models import dense, make_spec, make_study
from conformance.trainer import train
from suite import exhaustive_but

from search_spaces import Hyperparameters
from studies.training import (
    CompiledTrainer,
    Loop,
    PlainTrainer,
    Program,
    Trainer,
    configure_tensorflow,
)
from studies.training.traced_programs import compiled_trainer as compiling
from tracking.records import TrialResult


class Noting(keras.callbacks.Callback):  # type: ignore[misc]
    """Notes its calls, and draws from the global generators."""

    def __init__(self) -> None:
        super().__init__()
        self.called: list[Any] = []

    def on_train_begin(self, logs: Any = None) -> None:
        self.called.append(("begin", np.random.random()))

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.called.append((epoch, float(keras.random.normal(()))))

    def on_train_end(self, logs: Any = None) -> None:
        self.called.append(("end", logs))


@pytest.fixture(autouse=True)
def deterministic() -> None:
    configure_tensorflow(None)


class Trial:
    """Runs a trial, and keeps all that can be seen of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.built = 0
        self.callbacks: list[Noting] = []
        self.study = make_study(self.build, callbacks=self.make_callbacks)

    def build(self, hp: Hyperparameters) -> keras.Model:
        self.built += 1
        return dense(hp)

    def make_callbacks(self, hp: Hyperparameters) -> list[keras.callbacks.Callback]:
        self.callbacks.append(Noting())
        return [self.callbacks[-1]]

    def run(self, trainer: Trainer, **fields: Any) -> tuple[TrialResult, list[Any]]:
        """Returns the result, and what came of each epoch and of the callback."""
        result, epochs = train(trainer, self.study, make_spec(2), self.folder, **fields)
        return result, [epochs, self.callbacks[-1].called, result.best, result.weights_sha256]


def after(function: Callable[..., Any], error: Exception, calls: int = 1) -> Callable[..., Any]:
    """Returns a function that raises an error after some calls of another function."""
    countdown = itertools.count(calls - 1, -1)

    def fail(*arguments: Any, **options: Any) -> Any:
        result = function(*arguments, **options)
        if next(countdown) <= 0:
            raise error
        return result

    return fail


UNIMPLEMENTED = tf.errors.UnimplementedError(None, None, "not this one")
FAILURES: Mapping[str, tuple[Any, str, Callable[..., Any]]] = {
    "structure": (compiling, "Structure", after(lambda *_: None, AttributeError("no '_layout'"))),
    # This comes after the validation of the second epoch.
    "a later epoch": (Loop, "__call__", after(Loop.__call__, UNIMPLEMENTED, calls=4)),
    "memory": (
        Program,
        "validate",
        after(Program.validate, tf.errors.ResourceExhaustedError(None, None, "OOM")),
    ),
}


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """The result of the plain trainer."""
    configure_tensorflow(None)
    folder = tmp_path_factory.mktemp("whole")
    return Trial(folder).run(PlainTrainer(), state=folder / "whole.state")[1]


@pytest.mark.parametrize("part", exhaustive_but(["structure", "a later epoch"], FAILURES))
def test_what_fails_is_trained_by_fit_as_if_nothing_had_been_tried(
    part: str, expected: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial, trainer = Trial(tmp_path), CompiledTrainer()
    owner, name, failing = FAILURES[part]
    monkeypatch.setattr(owner, name, failing)
    trial.built = 0
    result, outcome = trial.run(trainer)
    assert result.trainer == "plain"
    assert result.trainer_reason.startswith("the compiled trainer raised")
    assert (outcome, trial.built) == (expected, 2)
    if part != "structure":
        return
    again, outcome = trial.run(trainer)
    assert (outcome, again.trainer) == (expected, "plain")
    # A callback may change the structure, so a failed program is known only after the begin.
    assert trial.built == 4


class Paired(keras.losses.Loss):  # type: ignore[misc]
    """Takes batches of an even size only: not the single sample by which a program is tried."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        pairs = keras.ops.reshape(y_pred, (-1, 2, 3))
        return keras.ops.sum(pairs[:, 0] * pairs[:, 1], axis=-1)


@pytest.mark.parametrize(
    ("inputs", "loss", "state"), [(5, "mse", "infeasible"), (12, Paired(), "complete")]
)
def test_a_trial_ends_as_one_by_fit(inputs: int, loss: Any, state: str, tmp_path: Path) -> None:
    """This holds even if the model itself is wrong, and not the program."""

    def build(hp: Hyperparameters) -> keras.Model:
        model = keras.Sequential([keras.Input((inputs,)), keras.layers.Dense(3)])
        model.compile("sgd", loss)
        return model

    by_program, by_fit = (
        train(trainer, make_study(build), make_spec(1, 10), tmp_path)[0]
        for trainer in (CompiledTrainer(), PlainTrainer())
    )
    assert by_program.state == by_fit.state == state
    assert by_program.reason == by_fit.reason
    assert ("ValueError" in by_fit.reason) == (state == "infeasible")
    assert by_program.weights_sha256 == by_fit.weights_sha256
