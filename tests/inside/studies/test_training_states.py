"""Trainings that are cut and go on, and their states in files."""

import dataclasses
import json
import logging
import resource
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from conformance.models import VALUES, make_study
from conformance.trainer import at, train
from exact_training import by_fit, spec_of
from handmade import make_spec
from losses_and_metrics import Lasting, MakingLate, Moving, with_state
from model_zoo import Holding, Unseeded, compiled, stack
from suite import exhaustive_but

from studies import training
from tracking.records import BestEpoch

random = np.random.default_rng(0)
ARRAYS = [
    random.normal(size=(3, 4)).astype("float32"),
    np.array(7, dtype="int64"),
    np.array([1, 2**32 - 1], dtype="uint32"),
    np.zeros((0, 2), dtype="float16"),
    np.array([True, False]),
    np.array([np.nan, -0.0, np.inf], dtype="float64"),
]


def make_state(**fields: object) -> training.TrainingState:
    state = training.TrainingState(
        identity=training.identity_of(make_spec()),
        epochs=[{"loss": 0.1 + 0.2, "val_loss": 1e-300}, {"loss": float("nan"), "val_loss": 2.0}],
        best=BestEpoch(1, 1e-300, {"loss": 0.1 + 0.2, "val_loss": 1e-300}),
        weights_sha256="f" * 64,
        last=ARRAYS,
        best_weights=[np.asarray(array[::-1] if array.ndim else array) for array in ARRAYS],
        callbacks=[
            {"wait": 2, "best": 0.5, "best_weights": [ARRAYS[0]], "seen": ({"a": [1, None]}, "b")},
            {},
        ],
        trainer=("plain", "its data is large"),
    )
    return dataclasses.replace(state, **fields)  # type: ignore[arg-type]


def bits(value: Any) -> str:
    """Returns everything in a state or a list of arrays, to the bit."""
    return json.dumps(value, default=lambda a: [a.dtype.name, a.shape, a.tobytes().hex()])


def test_what_is_written_comes_back_bit_for_bit(tmp_path: Path) -> None:
    state, path = make_state(), tmp_path / "a folder" / "trial.state"
    training.write_state(path, state)
    assert bits(dataclasses.asdict(training.read_state(path))) == bits(dataclasses.asdict(state))


def test_the_state_is_kept_if_the_next_can_not_be_written(tmp_path: Path) -> None:
    """A full disk stops the study. It is not taken for the trial's fault."""
    path = tmp_path / "trial.state"
    for digest in "ab":
        training.write_state(path, make_state(weights_sha256=digest))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(OSError, match="os error"):
            training.write_state(path, make_state(weights_sha256="c"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert training.read_state(path).weights_sha256 == "b"
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    with pytest.raises(OSError, match=path.name):
        training.write_state(path / "in a file" / "trial.state", make_state())


def test_any_damage_is_noticed(tmp_path: Path) -> None:
    """The file is missing, cut anywhere, or has one changed byte."""
    path = tmp_path / "trial.state"
    with pytest.raises(training.StateError, match="can't be read"):
        training.read_state(path)
    training.write_state(path, make_state())
    whole = path.read_bytes()
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        with pytest.raises(training.StateError):
            training.read_state(path)
    for place in range(0, len(whole), 61):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        with pytest.raises(training.StateError):
            training.read_state(path)


def test_identity_is_what_an_epoch_computes() -> None:
    spec = make_spec()
    identity = training.identity_of(spec)
    assert training.identity_of(make_spec(attempt=3, epochs=9)) == identity
    # The builder of a confirmation sees the trial's number.
    confirming = make_spec(number=5, seed=spec.seed, confirms=spec.number)
    assert training.identity_of(confirming) == identity
    assert training.identity_of(dataclasses.replace(spec, number=5)) != identity
    changes = [{"seed": 1}, {"batch_size": 1}, {"threads": 2}, {"values": {"rate": 0.2}}]
    changes += [{"class_weight": {0: 1.0}}, {"class_weight": {0: 2.0}}]
    others = {training.identity_of(make_spec(**change)) for change in changes}
    assert len(others) == 6 and identity not in others


class Keeping(keras.callbacks.Callback):  # type: ignore[misc]
    def __init__(self, state: Any) -> None:
        super().__init__()
        self.kept = state


def test_a_callback_of_the_users_own_goes_on_where_it_was() -> None:
    """The suite of trainers judges callbacks of Keras."""
    one, other = Keeping([1.0, 2.0]), Keeping([])
    captured = training.capture([one])
    one.kept.append(3.0)
    training.restore([other], captured)
    other.kept.append(4.0)
    assert other.kept == [1.0, 2.0, 4.0]
    assert captured == [{"kept": [1.0, 2.0]}]


@pytest.mark.parametrize(
    ("callback", "words"),
    [
        (keras.callbacks.CSVLogger("log.csv"), "CSVLogger"),
        (Keeping(iter([])), r"Keeping.*kept is list_iterator"),
    ],
)
def test_what_can_not_be_put_aside_is_named(callback: keras.callbacks.Callback, words: str) -> None:
    with pytest.raises(training.StateError, match=words):
        training.capture([callback])


# A training that is cut comes to the same result, whatever keeps state.

layers = keras.layers
Callbacks = Callable[[], Sequence[keras.callbacks.Callback]]


def with_noise(x: Any) -> Any:
    return x + tf.random.normal((12,))


def small() -> keras.Model:
    return compiled(stack(layers.Dense(4), layers.Dropout(0.3)), "sgd")


def closing_over() -> list[keras.callbacks.Callback]:
    losses: list[float] = []

    class Slowing(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            losses.append(logs["val_loss"])
            self.model.optimizer.learning_rate = 0.1 / len(losses)

    return [Slowing()]


def counting() -> list[keras.callbacks.Callback]:
    epochs: list[int] = []

    def slower(epoch: int, rate: float) -> float:
        epochs.append(epoch)
        return 0.1 / len(epochs)

    return [keras.callbacks.LearningRateScheduler(slower)]


def by_epoch() -> list[keras.callbacks.Callback]:
    return [keras.callbacks.LearningRateScheduler(lambda epoch: 0.1 / (epoch + 1))]


# The model, and its callbacks.
CASES: dict[str, tuple[Callable[[], keras.Model], Callbacks]] = {
    "variables of a loss and a metric": (lambda: with_state(Moving, Lasting), list),
    "a generator that is made late": (lambda: with_state(MakingLate), list),
    "a variable of TensorFlow's": (lambda: compiled(stack(Holding())), list),
    "an unseeded draw": (lambda: compiled(stack(Unseeded())), list),
    "a draw of TensorFlow's": (lambda: compiled(stack(layers.Lambda(with_noise))), list),
    "a closure": (small, closing_over),
    "a schedule": (small, by_epoch),
    "a schedule that counts": (small, counting),
}
KEPT = ["a closure", "a draw of TensorFlow's", "a schedule"]


@pytest.mark.parametrize("what", exhaustive_but(KEPT, CASES))
def test_a_training_that_is_cut_ends_as_one_that_is_not(
    what: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    build, callbacks = CASES[what]
    study = make_study(lambda hp: build(), callbacks=lambda hp: callbacks())
    spec, state = spec_of(4, values=VALUES), tmp_path / "trial.state"
    fitted = by_fit(build, study.data.load(), spec, callbacks())
    cut, _ = train(training.CompiledTrainer(), study, spec, tmp_path, at(2, "stop"), state=state)
    if what == "a schedule":
        assert len(training.read_state(state).epochs) == 2
    else:
        assert not state.exists() and "starts from its first epoch" in cut.trainer_reason
    with caplog.at_level(logging.WARNING):
        spec = dataclasses.replace(spec, attempt=2)
        again, metrics = train(training.CompiledTrainer(), study, spec, tmp_path, state=state)
    assert metrics == [epoch.metrics for epoch in fitted]
    best = min(fitted, key=lambda epoch: epoch.metrics["val_loss"])
    assert again.weights_sha256 == training.weights_digest(best.weights)
    assert "trained from its first epoch" not in caplog.text


class StopsOnce(keras.callbacks.Callback):  # type: ignore[misc]
    """It ends a training after two epochs, but a second training with the same object never."""

    left = 2

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.left -= 1
        if self.left == 0:
            self.model.stop_training = True


def test_each_training_gets_copies_of_the_callbacks_in_a_list(tmp_path: Path) -> None:
    def new() -> list[keras.callbacks.Callback]:
        return [keras.callbacks.EarlyStopping("loss", patience=5), StopsOnce()]

    study = make_study(lambda hp: small(), callbacks=new())
    for size in (16, 32):
        spec = spec_of(9, size, values=VALUES)
        fitted = by_fit(small, study.data.load(), spec, new())
        _, metrics = train(training.CompiledTrainer(), study, spec, tmp_path)
        assert metrics == [epoch.metrics for epoch in fitted] and len(metrics) == 2
