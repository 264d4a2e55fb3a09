"""Both trainers pass their suite. The compiled one leaves to `fit` what it can't train."""

import functools
import gc
import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from conformance.trainer import TrainerConformance
from exact_training import by_hand, by_trainer, samples, spec_of
from model_zoo import Holding, Unseeded, closed_over, compiled, stack
from training_corpus import several_steps

from studies.library_internals import tensorflow_internals
from studies.training import Checked, CompiledTrainer, PlainTrainer, Structure, is_due
from studies.training.traced_programs import compiled_trainer as compiling
from studies.training.traced_programs import shared_programs as programs

layers = keras.layers


@pytest.fixture(scope="module")
def warm() -> CompiledTrainer:
    """One trainer for many trials, as in a worker. It traces like models once."""
    return CompiledTrainer()


class TestCompiledTrainer(TrainerConformance):
    @pytest.fixture
    def trainer(
        self, warm: CompiledTrainer, request: pytest.FixtureRequest
    ) -> Iterator[CompiledTrainer]:
        yield warm
        # `fit` also trains what raises, to show whether the program or the model is wrong.
        name = request.node.name
        raises = "fails_late" in name and "False" in name
        by_fit = raises or "batch" in request.node.originalname
        assert warm.used[0] == ("plain" if by_fit else "compiled"), warm.used


class TestPlainTrainer(TrainerConformance):
    @pytest.fixture
    def trainer(self) -> PlainTrainer:
        return PlainTrainer()


def small(rate: float = 0.3, units: int = 4) -> keras.Model:
    return compiled(stack(layers.Dense(units), layers.Dropout(rate)))


class Own(keras.Sequential):
    def train_step(self, data: Any) -> Any:
        return super().train_step(data)


class Leaving(keras.Layer):
    """Leaves TensorFlow for Python."""

    def call(self, inputs: Any) -> Any:
        same = tf.numpy_function(lambda x: x, [inputs], tf.float32)
        return tf.ensure_shape(same, inputs.shape)


class Traced(keras.Layer):
    """Its `call` keeps the variables with which it was first traced. A program has others."""

    def build(self, shape: Any) -> None:
        self.scale = self.add_weight(shape=(shape[-1],), initializer="ones")

    @tf.function
    def call(self, inputs: Any) -> Any:
        return inputs * self.scale


def eager() -> keras.Model:
    model = small()
    model.run_eagerly = True
    return model


def with_an_evaluate() -> keras.Model:
    model = small()
    model.evaluate = functools.partial(keras.Model.evaluate, model)
    return model


@pytest.mark.parametrize(
    "build, reason",
    [
        (lambda: compiled(Own(stack().layers)), "Own has its own training step"),
        (lambda: compiled(stack(Unseeded())), "state, used in .*unseeded.*, that is in no Keras"),
        (lambda: compiled(stack(Leaving())), "PyFunc.*leaving"),
        (lambda: compiled(stack(Holding())), "a tf.Variable that is in no Keras variable"),
        (lambda: compiled(stack(Traced())), "no Keras variable"),
        (eager, "eagerly"),
        (with_an_evaluate, "given its own evaluate"),
        (several_steps, "steps_per_execution"),
    ],
)
def test_what_it_cannot_do_exactly_fit_trains_as_if_nothing_had_been_tried(
    build: Callable[[], keras.Model], reason: str, recwarn: pytest.WarningsRecorder
) -> None:
    trainer = CompiledTrainer()
    epochs = by_trainer(trainer, build, samples(), spec_of())
    assert trainer.used[0] == "plain" and re.search(reason, trainer.used[1])
    assert epochs == by_hand(build, samples(), spec_of())
    assert not [warning for warning in recwarn if "Gradients do not exist" in str(warning.message)]


class Started(keras.metrics.Mean):
    started = False

    def reset_state(self) -> None:
        super().reset_state()
        self.started = True


class Doubling(keras.Layer):
    """Doubles its inputs from the first reset of its metric on."""

    def __init__(self) -> None:
        super().__init__()
        self.metric = Started(name="mean")

    def call(self, inputs: Any) -> Any:
        self.metric.update_state(keras.ops.mean(inputs))
        return inputs * (2.0 if self.metric.started else 1.0)


def test_a_step_is_traced_after_metrics_are_reset_as_fit_does() -> None:
    def build() -> keras.Model:
        return compiled(stack(Doubling()))

    assert by_trainer(CompiledTrainer(), build, samples(), spec_of()) == by_hand(
        build, samples(), spec_of()
    )


def test_random_numbers_that_are_drawn_while_it_is_traced_are_the_trials_own() -> None:
    def build() -> keras.Model:
        return compiled(stack(layers.Lambda(lambda x: x * float(np.random.uniform()))), "sgd")

    trainer = CompiledTrainer()
    epochs = by_trainer(trainer, build, samples(), spec_of(1))
    assert epochs == by_hand(build, samples(), spec_of(1))
    assert trainer.used[0] == "plain" and "random numbers" in trainer.used[1]


def test_trials_share_no_state(warm: CompiledTrainer) -> None:
    trainer, splits = warm, samples()
    models = []

    def build() -> keras.Model:
        models.append(small())
        return models[-1]

    by_trainer(trainer, build, splits, spec_of(1))
    weights = [np.array(weight) for weight in models[0].get_weights()]
    by_trainer(trainer, build, splits, spec_of(3))
    assert trainer.used == ("compiled", "")
    assert all(map(np.array_equal, weights, models[0].get_weights()))
    evaluated = models[0].evaluate(splits.train.x, splits.train.y, verbose=0)
    models[1].evaluate(splits.train.x, splits.train.y, verbose=0)
    assert models[0].evaluate(splits.train.x, splits.train.y, verbose=0) == evaluated


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", ["one program", "programs let go", "plain"])
def test_many_trials_leave_nothing_behind(kind: str) -> None:
    """If TensorFlow kept one graph, its operations would be more objects than are allowed here."""
    trainer = PlainTrainer() if kind == "plain" else CompiledTrainer(kept=1)
    splits = samples()

    def objects_after(trials: int) -> int:
        for number in [*range(trials), 0]:
            units = 4 + number if kind == "programs let go" else 4
            build = functools.partial(small, 0.1 + number / 100, units)
            # Each trial does this.
            with tensorflow_internals.forgetting_gradients():
                by_trainer(trainer, build, splits, spec_of(1))
        gc.collect()
        return len(gc.get_objects())

    before = objects_after(2)
    assert objects_after(3) - before < (700 if kind == "plain" else 500)


def attentive() -> keras.Model:
    """The order in which the gradients of attention's inputs are summed matters."""
    inputs = keras.Input((12,))
    steps = layers.RepeatVector(392)(layers.Dense(16)(inputs))
    steps = steps + layers.Embedding(392, 16)(keras.ops.arange(392))
    steps = steps + layers.MultiHeadAttention(2, 8)(steps, steps)
    pooled = layers.GlobalAveragePooling1D()(steps)
    return compiled(keras.Model(inputs, layers.Dense(3, activation="softmax")(pooled)))


@pytest.mark.exhaustive
def test_sums_of_gradients_come_to_the_same_each_time() -> None:
    trainer, splits, spec = CompiledTrainer(), samples(), spec_of(1, 40)
    trained = [by_trainer(trainer, attentive, splits, spec) for _ in range(2)]
    assert (len(trainer.programs), trainer.used) == (1, ("compiled", ""))
    assert trained == 2 * [by_hand(attentive, splits, spec)]


class TestProgramChecks:
    """A program that was traced for another trial is checked before it trains this one."""

    @pytest.mark.exhaustive
    def test_a_stale_program_is_found(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Careless(Structure):
            """Takes all models for alike, so that all share a constant of one trial."""

            def __init__(self, *roots: object) -> None:
                super().__init__(*roots)
                self.key = self.digest = "the same"

        for module in (compiling, programs):
            monkeypatch.setattr(module, "Structure", Careless)
        trainer, splits, used = CompiledTrainer(), samples(), []
        for number, strength in enumerate([0.5, 1.5, 0.5]):
            build = functools.partial(closed_over, {"strength": strength})
            spec = replace(spec_of(2), number=number, values={"unused": strength / 2})
            with caplog.at_level(logging.WARNING):
                trained = by_trainer(trainer, build, splits, spec)
            assert trained == by_hand(build, splits, spec)
            used.append(trainer.used)
        assert [name for name, _ in used] == ["compiled", "plain", "plain"]
        assert used[1][1] == used[2][1]
        assert "other numbers than the model's own steps" in used[1][1]
        (message,) = [record.getMessage() for record in caplog.records]
        assert message.startswith("trial 1: ") and "\n" not in message

    def test_a_program_is_checked_for_each_hyperparameter_that_varies(self) -> None:
        checked, due = Checked(), []
        for values in (
            {"rate": 0.1, "units": 8},
            {"rate": 0.1, "units": 8},
            {"rate": 0.2, "units": 8},
            {"rate": 0.3, "units": 8},
            {"rate": 0.1, "units": 8, "momentum": 0.9},
            {"rate": 0.4, "units": 9},
            {"rate": 0.4, "units": 9, "momentum": 0.8},
        ):
            due.append(is_due(checked, values))
            if due[-1]:
                checked.passed(values)
        assert due == [False, True, True, False, True, True, False]
