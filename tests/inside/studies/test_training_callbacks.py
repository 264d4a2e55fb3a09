"""Callbacks that look at, change or stop a training: as in one call of plain `fit`, to the bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest
from exact_training import by_fit, by_trainer, samples, spec_of
from model_zoo import compiled, stack
from suite import exhaustive_but

from studies.training import CompiledTrainer, PlainTrainer

layers = keras.layers
SPARSE = "sparse_categorical_crossentropy"
Build = Callable[[], keras.Model]


@pytest.fixture(scope="module")
def trainer() -> CompiledTrainer:
    return CompiledTrainer()


def small() -> keras.Model:
    inner = [layers.Dense(4, activation="relu"), layers.Dropout(0.3), layers.Dense(4)]
    return compiled(stack(*inner))


def frozen() -> keras.Model:
    """As before fine-tuning: the base is frozen."""
    model = small()
    model.layers[0].trainable = False
    return compiled(model)


def exploding() -> keras.Model:
    return compiled(stack(layers.Dense(4)), keras.optimizers.SGD(1e7))


class At(keras.callbacks.Callback):  # type: ignore[misc]
    """Does something to the model at one point of the training, such as "epoch_end 0"."""

    def __init__(self, when: str, do: Callable[[keras.Model], None]) -> None:
        super().__init__()
        method, _, epoch = when.partition(" ")

        def act(*arguments: Any, **keywords: Any) -> None:
            if not epoch or arguments[0] == int(epoch):
                do(self.model)

        setattr(self, f"on_{method}", act)


def unfreeze(model: keras.Model) -> None:
    model.layers[0].trainable = True
    model.compile(keras.optimizers.SGD(0.05), SPARSE, metrics=["accuracy"])
    model.make_train_function()


def freeze(model: keras.Model) -> None:
    model.layers[0].trainable = False
    model.make_train_function(force=True)


def freeze_without_a_trace(model: keras.Model) -> None:
    model.layers[0].trainable = False


def change_without_a_trace(model: keras.Model) -> None:
    model.layers[0].activation = keras.activations.tanh
    model.layers[1].rate = 0.6


def change(model: keras.Model) -> None:
    """Of the training step alone: the validation step is traced already."""
    change_without_a_trace(model)
    model.make_train_function(force=True)


def stop(model: keras.Model) -> None:
    model.stop_training = True


def slow_down(model: keras.Model) -> None:
    model.optimizer.learning_rate = 0.001
    model.optimizer.momentum = 0.5


def predicted(model: keras.Model) -> float:
    return float(model.predict(samples().validation.x, verbose=0)[:, 0].mean())


def evaluated(model: keras.Model) -> float:
    part = samples().validation
    return float(model.evaluate(part.x, part.y, verbose=0)[0])


class Looking(keras.callbacks.Callback):  # type: ignore[misc]
    """Looks at the model before it is trained, and after each epoch."""

    def __init__(self, look: Callable[[keras.Model], float], *, at_a_part: bool = False) -> None:
        super().__init__()
        self.look, self.at_a_part = look, at_a_part

    def on_train_begin(self, logs: Any = None) -> None:
        inner = keras.Model(self.model.inputs, self.model.layers[0].output)
        self.watched = inner if self.at_a_part else self.model
        self.look(self.watched)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs["seen"] = self.look(self.watched)


class Seeing(keras.callbacks.Callback):  # type: ignore[misc]
    """Notes all that it is called with, as text: not-a-number is unlike itself."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def on_train_begin(self, logs: Any = None) -> None:
        self.seen.clear()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.seen.append(f"begin {epoch}")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        rate = float(self.model.optimizer.learning_rate)
        self.seen.append(f"{epoch} {logs} {rate} {self.model.stop_training}")
        logs["added"] = 1.0

    def on_test_end(self, logs: Any = None) -> None:
        self.seen.append(f"tested {sorted(logs)}")

    def on_train_end(self, logs: Any = None) -> None:
        self.seen.append(f"end {logs} {self.model.stop_training}")


def of_keras() -> list[keras.callbacks.Callback]:
    return [
        keras.callbacks.ReduceLROnPlateau("loss", patience=1, min_delta=10.0),
        keras.callbacks.EarlyStopping("loss", 10.0, patience=2, restore_best_weights=True),
        keras.callbacks.ModelCheckpoint("last.weights.h5", save_weights_only=True),
        keras.callbacks.CSVLogger("log.csv"),
        keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.9 ** (epoch % 2)),
        keras.callbacks.TerminateOnNaN(),
        Looking(evaluated),
    ]


CASES: dict[str, tuple[Build, Callable[[], list[keras.callbacks.Callback]]]] = {
    "unfreezing": (frozen, lambda: [At("epoch_begin 2", unfreeze)]),
    "unfreezing after an epoch": (frozen, lambda: [At("epoch_end 0", unfreeze)]),
    "unfreezing at first": (frozen, lambda: [At("train_begin", unfreeze)]),
    "freezing": (small, lambda: [At("epoch_begin 2", freeze)]),
    "freezing at first": (small, lambda: [At("epoch_begin 0", freeze)]),
    "freezing without a trace": (small, lambda: [At("epoch_end 0", freeze_without_a_trace)]),
    "a change before the training": (small, lambda: [At("train_begin", change_without_a_trace)]),
    "a change": (small, lambda: [At("epoch_begin 1", change)]),
    "a change without a trace": (small, lambda: [At("epoch_begin 1", change_without_a_trace)]),
    "a change before validation": (small, lambda: [At("test_begin", change)]),
    "a rate": (small, lambda: [At("epoch_end 1", slow_down)]),
    "predicting": (small, lambda: [Looking(predicted)]),
    "predicting by a part": (small, lambda: [Looking(predicted, at_a_part=True)]),
    "all of Keras": (small, of_keras),
    "stopping before an epoch": (small, lambda: [At("epoch_begin 2", stop)]),
    "a loss that is not finite": (exploding, lambda: [keras.callbacks.TerminateOnNaN()]),
}
# `fit` traces a step again, or ends an epoch early, and so trains these itself.
BY_FIT = ["unfreezing", "unfreezing after an epoch", "freezing", "a change"]
BY_FIT += ["a change before validation", "stopping before an epoch", "a loss that is not finite"]
KEPT = ["all of Keras", "a change before the training", "a loss that is not finite"]


@pytest.mark.parametrize("name", exhaustive_but(KEPT, CASES))
def test_callbacks_see_and_do_what_they_do_in_fit(
    name: str, trainer: CompiledTrainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    build, callbacks = CASES[name]
    splits, spec, seeing = samples(), spec_of(4), Seeing()
    wanted = repr(by_fit(build, splits, spec, [*callbacks(), seeing]))
    files = {path.name for path in tmp_path.iterdir()}
    log = Path("log.csv").read_text() if "log.csv" in files else ""
    for each in (trainer, trainer, PlainTrainer()):
        again = Seeing()
        found = by_trainer(each, build, splits, spec, callbacks=[*callbacks(), again])
        assert again.seen == seeing.seen
        assert repr(found) == wanted
        assert not log or Path("log.csv").read_text() == log
        assert trainer.used[0] == ("plain" if name in BY_FIT else "compiled")


@pytest.mark.parametrize(
    ("build", "callback", "error", "words"),
    [
        (exploding, keras.callbacks.TerminateOnNaN(raise_error=True), RuntimeError, r"at batch \d"),
        # Without a function that trains.
        pytest.param(
            small, At("epoch_end 0", compiled), TypeError, "", marks=pytest.mark.exhaustive
        ),
    ],
)
def test_errors_of_callbacks_are_those_of_fit(
    build: Build,
    callback: keras.callbacks.Callback,
    error: type[Exception],
    words: str,
    trainer: CompiledTrainer,
) -> None:
    with pytest.raises(error, match=words):
        by_fit(build, samples(), spec_of(3, 8), [callback])
    for each in (trainer, PlainTrainer()):
        with pytest.raises(error, match=words):
            by_trainer(each, build, samples(), spec_of(3, 8), callbacks=[callback])
