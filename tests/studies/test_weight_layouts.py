"""Files of weights written by a layout that was learnt: the ones that Keras writes."""

from __future__ import annotations

import itertools
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from exact_training import built, by_trainer, samples, spec_of, state_of
from model_zoo import ZOO, compiled, stack

import kerastudy as ks
from studies.training.process.determinism import configure_tensorflow
from studies.training.programs.compiled import CompiledTrainer
from studies.training.run_trial import run_trial
from studies.training.states.best_weights import BestWeights
from studies.training.states.weight_layouts import Layouts
from studies.training.variables import assign, copy_of, make_variables
from tracking.records import TrialTask
from tracking.store.checkpoints import checkpoint_digest

layers = keras.layers
SPLITS = samples()


@pytest.fixture(autouse=True)
def deterministic() -> None:
    configure_tensorflow(None)


@pytest.fixture
def layouts() -> Layouts:
    return Layouts()


def with_values(model: keras.Model, seed: int) -> keras.Model:
    """Sets all variables to values of their own."""
    random = np.random.default_rng(seed)
    values = [
        np.asarray(random.integers(0, 100, value.shape)).astype(value.dtype)
        for value in copy_of(model)
    ]
    assign(model, values)
    return model


def write(layouts: Layouts, model: keras.Model, path: Path, structure: str = "one") -> str:
    weights = BestWeights(model, layouts)
    weights.take()
    return weights.write(path, structure)


def names_in(path: Path) -> list[Any]:
    """The layers' own names, which Keras writes and nothing reads."""
    names: list[Any] = []
    with h5py.File(path) as file:
        file.visititems(lambda _, item: names.append(item.attrs.get("name")))
    return names


@pytest.mark.parametrize("name", ZOO)
def test_a_file_has_what_keras_writes(name: str, layouts: Layouts, tmp_path: Path) -> None:
    build, values = ZOO[name]
    splits = samples(2 if name == "binary" else 3)

    def model_of(hp: Any, seed: int) -> keras.Model:
        model = built(lambda: build(hp))
        make_variables(model, splits)
        return with_values(model, seed)

    first, second = model_of(values[0], 1), model_of(values[0], 2)
    before = state_of(first)
    for _ in range(2):
        assert layouts.for_model(second, "one") is None, "it is learnt when it comes again"
        write(layouts, first, tmp_path / "first.weights.h5")
        assert state_of(first) == before, "learning leaves the model as it was"
    assert layouts.for_model(second, "one") is not None
    written, by_keras = tmp_path / "second.weights.h5", tmp_path / "keras.weights.h5"
    digest = write(layouts, second, written)
    second.save_weights(by_keras)
    assert digest == checkpoint_digest(written) == checkpoint_digest(by_keras)
    assert names_in(written) == names_in(by_keras)
    loaded = model_of(values[0], 3)
    loaded.load_weights(written)
    assert state_of(loaded) == state_of(second)


def test_the_second_trial_of_a_structure_has_its_own_weights(tmp_path: Path) -> None:
    def build(hp: ks.Hyperparameters) -> keras.Model:
        inner = [layers.Dense(7, "relu"), layers.BatchNormalization(), layers.Dropout(hp["rate"])]
        return compiled(stack(*inner), keras.optimizers.Adam(hp["lr"]))

    space = ks.SearchSpace(ks.Float("rate", 0.0, 0.9), ks.learning_rate(name="lr"))
    data = ks.datasets.arrays(SPLITS.train.x, SPLITS.train.y, validation=10, test=None)
    study, trainer = ks.Study("layouts", data=data, build=build, space=space), CompiledTrainer()
    splits = data.load()
    for number, (rate, epochs) in enumerate(itertools.product((0.1, 0.6, 0.3), (1, 3))):
        spec = replace(spec_of(epochs), values={"rate": rate, "lr": 0.003})
        path = tmp_path / f"{number}.weights.h5"
        result = run_trial(study, splits, TrialTask(spec, space, path), _go_on, trainer)
        model = build(ks.Hyperparameters(space, spec.values))
        model.load_weights(path)
        assert result.checkpoint_sha256 == checkpoint_digest(path)
        metrics = model.evaluate(splits.validation.x, splits.validation.y, 16, 0, return_dict=True)
        assert result.best is not None
        assert metrics["loss"] == pytest.approx(result.best.value, rel=1e-5)
    assert trainer.structure
    assert trainer.programs.made == 1


class Doubled(keras.layers.Dense):
    """Keeps twice its weights."""

    def save_own_variables(self, store: Any) -> None:
        for i, weight in enumerate(self.weights):
            store[str(i)] = weight.numpy() * 2


class Flagged(keras.layers.Layer):
    """Two variables of a bit each: nobody can tell which is which."""

    def build(self, shape: Any) -> None:
        for name in "ab":
            self.add_weight(shape=(), dtype="bool", initializer="zeros", trainable=False, name=name)

    def call(self, x: Any) -> Any:
        return x


class Checked(keras.layers.Layer):
    """Saves what may be taken for the value of its variable."""

    def build(self, shape: Any) -> None:
        self.ready = self.add_weight(shape=(), dtype="bool", initializer="ones", trainable=False)

    def call(self, x: Any) -> Any:
        return x

    def save_own_variables(self, store: Any) -> None:
        store["0"], store["1"] = self.ready.numpy(), np.array(True)


@pytest.mark.parametrize("layer", [Doubled, Flagged, Checked])
def test_what_has_no_layout_is_written_by_keras(
    layer: type[keras.layers.Layer], layouts: Layouts, tmp_path: Path
) -> None:
    for seed in range(3):
        inner = layer(4) if layer is Doubled else layer()
        model = with_values(built(lambda inner=inner: compiled(stack(inner))), seed)
        before = state_of(model)
        digest = write(layouts, model, tmp_path / f"{seed}.weights.h5")
        model.save_weights(tmp_path / "keras.weights.h5")
        assert digest == checkpoint_digest(tmp_path / "keras.weights.h5")
        assert layouts.for_model(model, "one") is None
        assert state_of(model) == before


def test_a_layout_serves_no_other_variables(layouts: Layouts, tmp_path: Path) -> None:
    """Though it was told that they are of one structure."""
    models = [
        built(lambda units=units: compiled(stack(layers.Dense(units), layers.Dense(units))))
        for units in (4, 5)
    ]
    for model in (models[0], *models):
        path = tmp_path / "x.weights.h5"
        assert write(layouts, model, path) == checkpoint_digest(path)
    assert layouts.for_model(models[0], "one") is not None
    assert layouts.for_model(models[1], "one") is None


def test_a_callback_that_changes_what_is_saved_makes_a_structure_of_its_own(
    tmp_path: Path,
) -> None:
    class Adding(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.model.another = self.model.layers[0]

    class Nothing(keras.callbacks.Callback):  # type: ignore[misc]
        pass

    trainer, structures = CompiledTrainer("compiled"), []
    for callback in (Nothing, Nothing, Adding, Adding):
        build = lambda: compiled(stack(layers.Dense(4)))  # noqa: E731
        by_trainer(trainer, build, SPLITS, spec_of(1), callbacks=[callback()])
        structures.append(trainer.structure)
    assert structures[0] == structures[1] != structures[2] == structures[3]


def test_variables_of_a_distribution_strategy_are_read_as_they_are() -> None:
    """In a process of its own: devices are told before the first use."""
    script = (
        "import tensorflow as tf, keras\n"
        "cpu = tf.config.list_physical_devices('CPU')[0]\n"
        "two = [tf.config.LogicalDeviceConfiguration()] * 2\n"
        "tf.config.set_logical_device_configuration(cpu, two)\n"
        "from studies.training.variables import copy_of\n"
        "strategy = tf.distribute.MirroredStrategy(['CPU:0', 'CPU:1'])\n"
        "with strategy.scope():\n"
        "    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])\n"
        "    model.compile('sgd', 'mse')\n"
        "    inside = copy_of(model)\n"
        "same = [(a == b.numpy()).all() for a, b in zip(inside, model.weights)]\n"
        "print(len(same), all(same))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["2", "True"], done.stderr


def test_without_a_structure_nothing_is_learnt(layouts: Layouts, tmp_path: Path) -> None:
    model = built(lambda: compiled(stack(layers.Dense(4))))
    for _ in range(3):
        write(layouts, model, tmp_path / "x.weights.h5", structure="")
    assert layouts.for_model(model, "") is None


def _go_on(_: object) -> Any:
    return "continue"
