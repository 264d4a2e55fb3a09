"""What of a model makes it another structure: all that its code may read."""

from __future__ import annotations

import builtins
import functools
import os
import os.path
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from exact_training import built, by_hand, by_trainer, samples, spec_of
from model_zoo import compiled, stack
from suite import exhaustive_but

from studies.training import CompiledTrainer, PlainTrainer, Structure, configure_tensorflow

layers = keras.layers


@pytest.fixture(autouse=True)
def deterministic() -> None:
    configure_tensorflow(None)


def module(name: str, **values: Any) -> types.ModuleType:
    made = types.ModuleType(name)
    vars(made).update(values)
    return made


settings = module("user_settings", FACTOR=1.0)
package = module("user_package", inner=module("user_package.inner", FACTOR=1.0))


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("USER_FACTOR", "1.0")
    monkeypatch.setenv("TZ", "UTC-1")
    monkeypatch.setattr(sys, "argv", [*sys.argv, "1.0"])
    monkeypatch.setattr(builtins, "USER_FACTOR", 1.0, raising=False)
    write_all(1.0)
    for each in (settings, package, package.inner):
        monkeypatch.setitem(sys.modules, each.__name__, each)
    yield
    monkeypatch.undo()
    time.tzset()
    Scaled.factor = scaled.factor = settings.FACTOR = package.inner.FACTOR = 1.0


def scaled(x: Any) -> Any:
    return x * scaled.factor


scaled.factor = 1.0  # type: ignore[attr-defined]


class Holder:
    held = settings


class Scaled(keras.layers.Layer):
    """By a number that is no attribute of the object."""

    factor = 1.0

    def __init__(self, by: Callable[[], Any]) -> None:
        super().__init__()
        self.by = by

    def call(self, x: Any) -> Any:
        return x * self.by()


def imported() -> float:
    import user_settings

    return user_settings.FACTOR  # type: ignore[no-any-return]


def imported_from() -> float:
    from user_settings import FACTOR

    return FACTOR  # type: ignore[no-any-return]


def imported_inner() -> float:
    import user_package.inner

    return user_package.inner.FACTOR  # type: ignore[no-any-return]


def write_all(value: float) -> None:
    """Into all kinds of files."""
    Path("factor.txt").write_text(str(value))
    np.save("factor.npy", np.float32(value))
    if value > 1.0:
        Path("large").touch()
    else:
        Path("large").unlink(missing_ok=True)


def set_zone(hours: float) -> None:
    os.environ["TZ"] = f"UTC-{hours:.0f}"
    time.tzset()


# What a loss may read while it is traced, and how that changes from trial to trial.
READ: dict[str, tuple[Callable[[], Any], Callable[[float], None]]] = {
    "a module": (lambda: settings.FACTOR, lambda v: setattr(settings, "FACTOR", v)),
    "a module in a module": (
        lambda: package.inner.FACTOR,
        lambda v: setattr(package.inner, "FACTOR", v),
    ),
    "a module by a name": (
        lambda: getattr(settings, "FACTOR"),  # noqa: B009
        lambda v: setattr(settings, "FACTOR", v),
    ),
    "an import": (imported, lambda v: setattr(settings, "FACTOR", v)),
    "an import from": (imported_from, lambda v: setattr(settings, "FACTOR", v)),
    "an inner import": (imported_inner, lambda v: setattr(package.inner, "FACTOR", v)),
    "a function": (lambda: scaled(1.0), lambda v: setattr(scaled, "factor", v)),
    "a class": (lambda: Scaled.factor, lambda v: setattr(Scaled, "factor", v)),
    "the environment": (
        lambda: float(os.environ["USER_FACTOR"]),
        lambda v: os.environ.__setitem__("USER_FACTOR", str(v)),
    ),
    "a file": (lambda: float(Path("factor.txt").read_text()), write_all),
    "an array in a file": (lambda: float(np.load("factor.npy")), write_all),
    "a file by TensorFlow": (
        lambda: tf.strings.to_number(tf.io.read_file("factor.txt")),
        write_all,
    ),
    "whether a file exists": (lambda: 2.0 if os.path.exists("large") else 1.0, write_all),
    "whether a file exists, by a held path": (
        lambda held=Path("large"): 2.0 if held.exists() else 1.0,
        write_all,
    ),
    "the command's arguments": (
        lambda: float(sys.argv[-1]),
        lambda v: sys.argv.__setitem__(-1, str(v)),
    ),
    "a name of Python": (
        lambda: USER_FACTOR,  # type: ignore[name-defined]  # noqa: F821
        lambda v: setattr(builtins, "USER_FACTOR", v),
    ),
    "the clock": (lambda: 1.0 + time.localtime(0).tm_hour, set_zone),
    "a held module": (lambda: Holder.held.FACTOR, lambda v: setattr(settings, "FACTOR", v)),
    "a made object": (lambda: Started(0).factor, write_all),
    "globals": (
        lambda: globals()["settings"].FACTOR,
        lambda v: setattr(settings, "FACTOR", v),
    ),
}


def model(*inner: keras.layers.Layer) -> keras.Model:
    return compiled(stack(*inner), "sgd")


def structure_of(build: Callable[[], keras.Model]) -> Structure:
    return Structure(built(build))


@pytest.mark.parametrize("what", READ)
def test_what_code_reads_is_part_of_it(what: str) -> None:
    read, change = READ[what]
    first, same = (structure_of(lambda: model(Scaled(read))) for _ in range(2))
    change(2.0)
    assert structure_of(lambda: model(Scaled(read))).key != first.key
    assert first.key == same.key or first.reason


@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.Dense(4),
        lambda: layers.Dropout(np.random.uniform()),
        lambda: Scaled(lambda: 2.0),
        lambda: Scaled(lambda: settings.FACTOR),
    ],
)
def test_the_same_is_known_again(make: Callable[[], keras.layers.Layer]) -> None:
    structures = [structure_of(lambda: model(make())) for _ in range(2)]
    assert structures[0].key == structures[1].key
    assert not structures[0].reason


class Projected(keras.layers.Layer):
    """By weights, or by numbers that are drawn in `call`."""

    def __init__(self, seed: int, drawn: bool) -> None:
        super().__init__()
        self.draw = keras.initializers.RandomNormal(seed=seed)
        self.start = keras.initializers.RandomNormal(seed=seed)
        self.drawn = drawn

    def build(self, shape: Any) -> None:
        self.weight = self.add_weight(shape=(shape[-1], 4), initializer=self.start)

    def call(self, x: Any) -> Any:
        return x @ self.weight + (x @ self.draw((x.shape[-1], 4)) if self.drawn else 0.0)


class Started(keras.layers.Layer):
    """By weights alone; reads a file before it is trained."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.factor = float(Path("factor.txt").read_text())
        self.start = keras.initializers.RandomNormal(seed=seed)

    def build(self, shape: Any) -> None:
        self.weight = self.add_weight(shape=(shape[-1], 4), initializer=self.start)

    def call(self, x: Any) -> Any:
        return x @ self.weight


def of_features(seed: int) -> Any:
    draw = keras.initializers.RandomNormal(seed=seed)
    return lambda x: x * draw((12,))


def of_a_dense(seed: int) -> Any:
    dense = layers.Dense(4, kernel_initializer=keras.initializers.HeNormal(seed))
    return lambda x: dense.kernel_initializer((12, 4))[:, 0] * x


def of_a_loss(seed: int) -> keras.Model:
    draw = keras.initializers.RandomUniform(seed=seed)

    def loss(true: Any, predicted: Any) -> Any:
        return keras.ops.sum(predicted * draw((3,)), -1)

    made = stack(layers.Dense(4))
    made.compile("sgd", loss)
    return made


DRAWN: dict[str, Callable[[int], keras.Model]] = {
    "a call": lambda seed: model(Projected(seed, drawn=True)),
    "a Lambda": lambda seed: model(layers.Lambda(of_features(seed))),
    "a layer's own": lambda seed: model(layers.Lambda(of_a_dense(seed))),
    "a loss": of_a_loss,
}


@pytest.mark.parametrize("what", DRAWN)
def test_what_is_drawn_while_it_trains_is_part_of_it(what: str) -> None:
    keys = [structure_of(lambda seed=seed: DRAWN[what](seed)).key for seed in (1, 2)]
    assert keys[0] != keys[1]


@pytest.mark.parametrize(
    "make",
    [
        Started,
        lambda seed: layers.Dense(4, kernel_initializer=keras.initializers.HeNormal(seed)),
        lambda seed: layers.Dropout(0.5, seed=seed),
    ],
)
def test_what_only_decides_on_initial_values_is_not(
    make: Callable[[int], keras.layers.Layer],
) -> None:
    first, second = (structure_of(lambda seed=seed: model(make(seed))) for seed in (1, 2))
    assert first.key == second.key and not first.reason


# What it reads is another structure below, as this is above.
@pytest.mark.exhaustive
@pytest.mark.parametrize("what", ["a call", "a loss"])
def test_trained_with_what_it_draws_itself(what: str) -> None:
    trainer, splits, spec = CompiledTrainer("compiled"), samples(), spec_of(1)
    for seed in (1, 2):
        build = functools.partial(DRAWN[what], seed)
        assert by_trainer(trainer, build, splits, spec) == by_hand(build, splits, spec)


def test_what_is_frozen_is_another_structure() -> None:
    keys = {
        structure_of(lambda free=free: model(layers.Dense(4, trainable=free))).key
        for free in (True, False, True)
    }
    assert len(keys) == 2


def test_what_cannot_be_read_is_like_nothing_else() -> None:
    def make() -> keras.Model:
        made = model(layers.Dense(4))
        made.layers[0].kept = threading.Lock()
        return made

    structures = [structure_of(make) for _ in range(3)]
    assert all("_thread.lock" in structure.reason for structure in structures)
    assert len({structure.key for structure in structures}) == 3


@pytest.mark.parametrize(
    "what",
    exhaustive_but(["an import", "a file", "a name of Python"], READ),
)
def test_trained_with_what_it_reads_now(what: str) -> None:
    read, change = READ[what]
    trainer, splits, spec = CompiledTrainer("compiled"), samples(), spec_of(1)

    def build() -> keras.Model:
        return compiled(stack(Scaled(read)), "sgd")

    trained = []
    for value in (1.0, 3.0, 1.0):
        change(value)
        trained.append(by_trainer(trainer, build, splits, spec))
        if len(trained) == 2:
            assert trained[-1] == by_hand(build, splits, spec)
    assert trained[0] == trained[2] != trained[1]


def test_random_numbers_that_are_drawn_while_it_is_traced_are_the_trials_own() -> None:
    trainer, splits, spec = CompiledTrainer(), samples(), spec_of(1)

    def build() -> keras.Model:
        return compiled(stack(Scaled(lambda: float(np.random.uniform()))), "sgd")

    epochs = by_trainer(trainer, build, splits, spec)
    assert epochs == by_trainer(PlainTrainer(), build, splits, spec)
    assert trainer.used[0] == "plain"
    assert "random numbers" in trainer.used[1]


@pytest.mark.exhaustive
def test_programs_that_serve_one_trial_are_not_kept() -> None:
    trainer, splits = CompiledTrainer("compiled"), samples()

    def unreadable() -> keras.Model:
        made = compiled(stack(layers.Dense(4)))
        made.layers[0].kept = threading.Lock()
        return made

    by_trainer(trainer, lambda: compiled(stack(layers.Dense(4))), splits, spec_of(1))
    for _ in range(2):
        by_trainer(trainer, unreadable, splits, spec_of(1))
    assert (trainer.programs.made, len(trainer.programs)) == (3, 1)
