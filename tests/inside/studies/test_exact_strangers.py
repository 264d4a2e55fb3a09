"""What public code does to a training from its side: `fit` by hand is the judge, to the bit.

Callbacks that freeze, unfreeze, compile or retrace; losses and metrics with state; generators that
are no layer's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import pytest
from exact_training import by_fit, by_trainer, samples, spec_of
from model_zoo import compiled, stack
from suite import exhaustive_but

import kerastudy as ks
from studies.training import CompiledTrainer, PlainTrainer, configure_tensorflow

layers, ops = keras.layers, keras.ops
SPARSE = "sparse_categorical_crossentropy"
Build = Callable[[], keras.Model]


@pytest.fixture(scope="module")
def trainer() -> Iterator[CompiledTrainer]:
    configure_tensorflow(None)
    yield CompiledTrainer("compiled")


def small() -> keras.Model:
    inner = [layers.Dense(4, activation="relu"), layers.Dropout(0.3), layers.Dense(4)]
    return compiled(stack(*inner))


def frozen() -> keras.Model:
    """As before fine-tuning: the base is frozen."""
    model = small()
    model.layers[0].trainable = False
    return compiled(model)


class At(keras.callbacks.Callback):  # type: ignore[misc]
    """Does something to the model at one point of the training."""

    def __init__(self, when: str, do: Callable[[keras.Model], None]) -> None:
        super().__init__()
        self.when, self.do = when, do

    def on_train_begin(self, logs: Any = None) -> None:
        self._do_if("train begin")

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._do_if(f"begin {epoch}")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._do_if(f"end {epoch}")

    def on_test_begin(self, logs: Any = None) -> None:
        self._do_if("test begin")

    def _do_if(self, when: str) -> None:
        if when == self.when:
            self.do(self.model)


def unfreeze(model: keras.Model) -> None:
    model.layers[0].trainable = True
    model.compile(keras.optimizers.SGD(0.05), SPARSE, metrics=["accuracy"])
    model.make_train_function()


def freeze(model: keras.Model) -> None:
    model.layers[0].trainable = False
    model.make_train_function(force=True)


def freeze_without_a_trace(model: keras.Model) -> None:
    model.layers[0].trainable = False


def change(model: keras.Model) -> None:
    """Of the training step alone: the validation step is traced already."""
    model.layers[0].activation = keras.activations.tanh
    model.layers[1].rate = 0.6
    model.make_train_function(force=True)


def change_without_a_trace(model: keras.Model) -> None:
    model.layers[0].activation = keras.activations.tanh
    model.layers[1].rate = 0.6


def slow_down(model: keras.Model) -> None:
    model.optimizer.learning_rate = 0.001
    model.optimizer.momentum = 0.5


CHANGES: dict[str, tuple[Build, str, Callable[[keras.Model], None]]] = {
    "unfreezing": (frozen, "begin 2", unfreeze),
    "unfreezing after an epoch": (frozen, "end 0", unfreeze),
    "unfreezing at first": (frozen, "train begin", unfreeze),
    "freezing": (small, "begin 2", freeze),
    "freezing at first": (small, "begin 0", freeze),
    "freezing without a trace": (small, "end 0", freeze_without_a_trace),
    "a change": (small, "begin 1", change),
    "a change without a trace": (small, "begin 1", change_without_a_trace),
    "a change before validation": (small, "test begin", change),
    "a rate": (small, "end 1", slow_down),
}


# `fit` traces again for these, and so trains them itself.
TRACED_AGAIN = ("begin 2", "end 0", "begin 1", "test begin")


@pytest.mark.parametrize("what", exhaustive_but([], CHANGES))
def test_callbacks_that_change_what_is_trained(what: str, trainer: CompiledTrainer) -> None:
    build, when, do = CHANGES[what]
    splits, spec, auto = samples(), spec_of(3), trainer.in_mode("auto")
    wanted = by_fit(build, splits, spec, lambda: [At(when, do)])
    for _ in range(2):
        assert by_trainer(auto, build, splits, spec, callbacks=[At(when, do)]) == wanted
        again = when in TRACED_AGAIN and do not in (freeze_without_a_trace, change_without_a_trace)
        assert auto.used[0] == ("plain" if again else "compiled")


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
        self.seen = inner if self.at_a_part else self.model
        self.look(self.seen)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs["seen"] = self.look(self.seen)


LOOKS: dict[str, Callable[[], Looking]] = {
    "predicting": lambda: Looking(predicted),
    "evaluating": lambda: Looking(evaluated),
    "predicting by a part": lambda: Looking(predicted, at_a_part=True),
}


# One that evaluates is among the callbacks of `test_compiled_trainer`.
@pytest.mark.exhaustive
@pytest.mark.parametrize("how", LOOKS)
def test_callbacks_that_look_at_the_model(how: str, trainer: CompiledTrainer) -> None:
    splits, spec = samples(), spec_of(2)
    wanted = by_fit(small, splits, spec, lambda: [LOOKS[how]()])
    assert by_trainer(trainer, small, splits, spec, callbacks=[LOOKS[how]()]) == wanted
    assert trainer.used[0] == "compiled"


@pytest.mark.exhaustive
def test_a_callback_that_compiles_and_makes_no_function_fails_as_in_fit(
    trainer: CompiledTrainer,
) -> None:
    def compile_only(model: keras.Model) -> None:
        compiled(model)

    for each in (trainer.in_mode("auto"), PlainTrainer()):
        with pytest.raises(TypeError):
            by_trainer(each, small, samples(), spec_of(3), callbacks=[At("end 0", compile_only)])


class Moving(keras.losses.Loss):  # type: ignore[misc]
    """Keeps a mean from batch to batch, and noise of its own."""

    def __init__(self, generators: list[Any] | None = None) -> None:
        super().__init__()
        self.mean = keras.Variable(0.5, trainable=False, name="mean")
        self.seeds = keras.random.SeedGenerator(3)
        if generators is not None:
            generators.append(self.seeds.state)

    def call(self, true: Any, predicted: Any) -> Any:
        loss = keras.losses.sparse_categorical_crossentropy(true, predicted)
        self.mean.assign(0.9 * self.mean + 0.1 * ops.mean(loss))
        return loss * self.mean + 0.01 * keras.random.normal((), seed=self.seeds)


class MakingLate(keras.losses.Loss):  # type: ignore[misc]
    """Makes its generator when it is first called."""

    def __init__(self, generators: list[Any]) -> None:
        super().__init__()
        self.seeds, self.generators = None, generators

    def call(self, true: Any, predicted: Any) -> Any:
        if self.seeds is None:
            self.seeds = keras.random.SeedGenerator(3)
            self.generators.append(self.seeds.state)
        loss = keras.losses.sparse_categorical_crossentropy(true, predicted)
        return loss + 0.1 * keras.random.uniform((), seed=self.seeds)


class Lasting(keras.metrics.Mean):  # type: ignore[misc]
    """Is not reset."""

    def update_state(self, true: Any, predicted: Any, sample_weight: Any = None) -> None:
        super().update_state(ops.mean(predicted[:, 0]))

    def reset_state(self) -> None:
        pass


class Lowest(keras.metrics.Metric):  # type: ignore[misc]
    """Begins with another value than a reset gives."""

    def __init__(self) -> None:
        super().__init__(name="lowest")
        self.low = self.add_weight(shape=(), initializer="zeros", name="low")

    def update_state(self, true: Any, predicted: Any, sample_weight: Any = None) -> None:
        self.low.assign(ops.minimum(self.low, ops.min(predicted)))

    def result(self) -> Any:
        return self.low

    def reset_state(self) -> None:
        self.low.assign(1.0)


class Counted(keras.losses.Loss):  # type: ignore[misc]
    """Depends on how often it is called."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def call(self, true: Any, predicted: Any) -> Any:
        self.calls += 1
        return self.calls * keras.losses.sparse_categorical_crossentropy(true, predicted)


def with_a_loss(generators: list[Any]) -> keras.Model:
    model = small()
    model.compile("adam", Moving(generators), metrics=[Lasting(name="lasting"), "accuracy"])
    return model


def with_a_metric(generators: list[Any]) -> keras.Model:
    return compiled(small(), metrics=[Lowest(), "accuracy"])


def with_a_late_generator(generators: list[Any]) -> keras.Model:
    model = small()
    model.compile("adam", MakingLate(generators), metrics=["accuracy"])
    return model


def with_a_function(generators: list[Any]) -> keras.Model:
    seeds = keras.random.SeedGenerator(5)
    generators.append(seeds.state)
    noise = layers.Lambda(lambda x: x + keras.random.normal((12,), stddev=0.1, seed=seeds))
    return compiled(stack(noise, layers.Dropout(0.3)))


def with_a_counter(generators: list[Any]) -> keras.Model:
    model = small()
    model.compile("adam", Counted(), metrics=["accuracy"])
    return model


STATES: dict[str, tuple[Callable[[list[Any]], keras.Model], str]] = {
    "a loss": (with_a_loss, "compiled"),
    "a metric": (with_a_metric, "compiled"),
    "a late generator": (with_a_late_generator, "plain"),
    "a function": (with_a_function, "compiled"),
    "a counter": (with_a_counter, "plain"),
}


@pytest.mark.parametrize("what", exhaustive_but([], STATES))
def test_state_beside_the_model(what: str) -> None:
    build, used = STATES[what]
    splits, spec = samples(), spec_of(2)
    generators: list[Any] = []

    def with_its_generators() -> keras.Model:
        generators.clear()
        return build(generators)

    made = with_its_generators()
    assert [state for state in ks.seed_states(made) if any(state is g for g in generators)] == (
        ks.seed_states(made)[-len(generators) :] if generators else []
    )
    wanted = by_fit(with_its_generators, splits, spec, generators=generators)
    trainer = CompiledTrainer()
    for each in (trainer, PlainTrainer()) if used == "compiled" else (trainer,):
        found = by_trainer(each, lambda: build([]), splits, spec)
        assert [epoch.metrics for epoch in found] == [epoch.metrics for epoch in wanted]
        assert found == wanted
    assert trainer.used[0] == used
