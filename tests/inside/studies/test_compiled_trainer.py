"""The compiled trainer: what it shares with every trainer, and what it leaves to the plain one."""

from __future__ import annotations

import functools
import gc
import re
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from conformance.trainer import RepeatingConformance, ResumingConformance, TrainerConformance
from exact_training import by_hand, by_trainer, samples, spec_of
from model_zoo import compiled, stack

import kerastudy as ks
from search_spaces import BuilderError
from studies.data import Splits
from studies.training import CompiledTrainer, PlainTrainer, configure_tensorflow

layers = keras.layers


@pytest.fixture(scope="module")
def warm() -> CompiledTrainer:
    """One for many trials, as in a worker: what is like a model before is traced once."""
    return CompiledTrainer()


@pytest.fixture(scope="module")
def only_compiled(warm: CompiledTrainer) -> CompiledTrainer:
    """One with the same programs that trains by nothing else."""
    return warm.in_mode("compiled")


class OfCompiledTrainer:
    @pytest.fixture
    def trainer(
        self, warm: CompiledTrainer, request: pytest.FixtureRequest
    ) -> Iterator[CompiledTrainer]:
        yield warm
        by_batch = "batch" in request.node.originalname
        assert warm.used[0] == ("plain" if by_batch else "compiled"), warm.used


class TestCompiledTrainer(OfCompiledTrainer, TrainerConformance):
    pass


class TestRepeatedByCompiledTrainer(OfCompiledTrainer, RepeatingConformance):
    pass


class TestResumedByCompiledTrainer(OfCompiledTrainer, ResumingConformance):
    pass


@pytest.fixture(autouse=True)
def deterministic() -> None:
    configure_tensorflow(None)


def small(rate: float = 0.3, units: int = 4) -> keras.Model:
    return compiled(stack(layers.Dense(units), layers.Dropout(rate)))


class Own(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.out = layers.Dense(3, activation="softmax")

    def call(self, inputs: Any) -> Any:
        return self.out(inputs)

    def train_step(self, data: Any) -> Any:
        return super().train_step(data)


class Counting(keras.Layer):
    """Its state is in no Keras variable."""

    def __init__(self) -> None:
        super().__init__()
        self.count = tf.Variable(0.0, trainable=False)

    def call(self, inputs: Any) -> Any:
        return inputs + 0 * self.count.assign_add(1.0)


class Unseeded(keras.Layer):
    def call(self, inputs: Any) -> Any:
        return inputs + keras.random.normal((12,))


class Looking(keras.Layer):
    """Looks something up in a table."""

    def __init__(self) -> None:
        super().__init__()
        keys, values = tf.constant([0, 1]), tf.constant([1.0, 2.0])
        initializer = tf.lookup.KeyValueTensorInitializer(keys, values)
        self.table = tf.lookup.StaticHashTable(initializer, 0.0)

    def call(self, inputs: Any) -> Any:
        return inputs * self.table.lookup(tf.constant(1))


class Leaving(keras.Layer):
    """Leaves TensorFlow for Python."""

    def call(self, inputs: Any) -> Any:
        same = tf.numpy_function(lambda x: x, [inputs], tf.float32)
        return tf.ensure_shape(same, inputs.shape)


def eager() -> keras.Model:
    model = small()
    model.run_eagerly = True
    return model


def with_an_evaluate() -> keras.Model:
    model = small()
    model.evaluate = functools.partial(keras.Model.evaluate, model)
    return model


def stacked_cells() -> keras.Model:
    layers = keras.layers
    cells = [layers.LSTMCell(3, dropout=0.2), layers.GRUCell(3, recurrent_dropout=0.2)]
    return compiled(stack(layers.Reshape((4, 3)), layers.RNN(cells)))


def several_steps() -> keras.Model:
    model = small()
    model.compile("sgd", "sparse_categorical_crossentropy", steps_per_execution=2)
    return model


@pytest.mark.parametrize(
    "build, reason",
    [
        (lambda: compiled(Own()), "Own has its own training step"),
        (lambda: compiled(stack(Counting())), "a tf.Variable .*in the layer 'counting'"),
        (lambda: compiled(stack(Unseeded())), "state, used in .*unseeded.*, that is in no Keras"),
        pytest.param(
            lambda: compiled(stack(Looking())),
            "state, used in .*looking.*, that is in no Keras",
            marks=pytest.mark.exhaustive,
        ),
        (lambda: compiled(stack(Leaving())), "PyFunc.*leaving"),
        (eager, "eagerly"),
        (with_an_evaluate, "given its own evaluate"),
        (several_steps, "steps_per_execution"),
        pytest.param(stacked_cells, "StackedRNNCells", marks=pytest.mark.exhaustive),
    ],
)
def test_what_it_cannot_do_exactly_it_leaves_to_the_plain_trainer(
    build: Callable[[], keras.Model], reason: str
) -> None:
    splits = samples()
    if reason.startswith("a tf.Variable"):
        trainer = CompiledTrainer()
        epochs = by_trainer(trainer, build, splits, spec_of())
        assert trainer.used[0] == "plain"
        assert re.search(reason, trainer.used[1])
        # As if nothing had been tried.
        assert epochs == by_trainer(PlainTrainer(), build, splits, spec_of())
        return
    # It would be trained plainly, for this reason.
    with pytest.raises(BuilderError, match=reason):
        by_trainer(CompiledTrainer("compiled"), build, splits, spec_of())


class Traced(keras.layers.Layer):
    """Its call is traced by itself, and keeps the variables that it was traced with."""

    def build(self, shape: Any) -> None:
        self.scale = self.add_weight(shape=(shape[-1],), initializer="ones")

    @tf.function  # type: ignore[untyped-decorator]
    def call(self, inputs: Any) -> Any:
        return inputs * self.scale


@pytest.mark.exhaustive
def test_what_is_traced_in_vain_warns_of_nothing(recwarn: pytest.WarningsRecorder) -> None:
    def build() -> keras.Model:
        return compiled(stack(Traced()))

    trainer = CompiledTrainer()
    by_trainer(trainer, build, samples(), spec_of(1))
    assert trainer.used[0] == "plain"
    assert not [each for each in recwarn if "Gradients do not exist" in str(each.message)]


# Of streams each time, see `test_streams`.
@pytest.mark.exhaustive
@pytest.mark.parametrize("batch_size", [8, 10, 16])
def test_several_steps_at_once_train_as_by_hand(batch_size: int) -> None:
    """Where they are more than an epoch has left, 5 or 3, too."""
    splits, spec = samples(), spec_of(3, batch_size)
    wanted = by_hand(several_steps, splits, spec)
    assert by_trainer(PlainTrainer(), several_steps, splits, spec) == wanted


class TestAnEpochThatFitEndsEarly:
    """The state is that after the batch with which it ended."""

    @pytest.fixture(autouse=True)
    def compiled(self, only_compiled: CompiledTrainer) -> None:
        self.warm = only_compiled

    class Seeing(keras.callbacks.Callback):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[str] = []

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.seen.append(f"{epoch} {logs} {self.model.stop_training}")

        def on_train_end(self, logs: Any = None) -> None:
            self.seen.append(f"end {logs}")

    def outcomes(
        self, build: Callable[[], keras.Model], callback: keras.callbacks.Callback, epochs: int = 4
    ) -> list[tuple[str, list[str]]]:
        """What each trainer comes to, as text: not-a-number is unlike itself."""
        found = []
        for trainer in (self.warm, PlainTrainer()):
            seeing = self.Seeing()
            trained = by_trainer(
                trainer, build, samples(), spec_of(epochs, 8), callbacks=[callback, seeing]
            )
            found.append((repr(trained), seeing.seen))
        return found

    def test_by_a_loss_that_is_not_finite(self) -> None:
        def exploding() -> keras.Model:
            return compiled(stack(layers.Dense(4)), keras.optimizers.SGD(1e7))

        compiled_one, plain = self.outcomes(exploding, keras.callbacks.TerminateOnNaN())
        assert compiled_one == plain
        assert len(plain[1]) < 5, "it was ended"
        assert "nan" in plain[1][-1] or "inf" in plain[1][-1]

    def test_by_an_error_if_that_is_asked_for(self) -> None:
        def exploding() -> keras.Model:
            return compiled(stack(layers.Dense(4)), keras.optimizers.SGD(1e30))

        said = []
        for trainer in (self.warm, PlainTrainer()):
            callback = keras.callbacks.TerminateOnNaN(raise_error=True)
            with pytest.raises(RuntimeError, match=r"at batch \d") as raised:
                by_trainer(trainer, exploding, samples(), spec_of(3, 8), callbacks=[callback])
            said.append(str(raised.value))
        assert said[0] == said[1]

    def test_by_a_callback_that_stops_it_before_it_begins(self) -> None:
        class Stopping(keras.callbacks.Callback):  # type: ignore[misc]
            def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
                self.model.stop_training = epoch == 2

        compiled_one, plain = self.outcomes(small, Stopping())
        assert compiled_one == plain
        assert len(plain[1]) == 4


def test_callbacks_see_what_they_see_in_fit(tmp_path: Any, only_compiled: CompiledTrainer) -> None:
    class Seeing(keras.callbacks.Callback):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[Any] = []

        def on_train_begin(self, logs: Any = None) -> None:
            self.seen.append(("begin", dict(self.params)))

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            rate = float(self.model.optimizer.learning_rate)
            self.seen.append((epoch, list(logs.items()), rate, self.model.layers[1].rate))
            self.seen.append(self.model.evaluate(np.ones((3, 12)), np.ones(3), verbose=0))
            logs["added"] = 1.0

        def on_test_end(self, logs: Any = None) -> None:
            self.seen.append(sorted(logs))

        def on_train_end(self, logs: Any = None) -> None:
            self.seen.append(("end", sorted(logs), self.model.stop_training))

    outcomes = []
    by_trainer(only_compiled, lambda: small(0.1), samples(), spec_of(1))
    for number, each in enumerate([only_compiled, PlainTrainer()]):
        seeing = Seeing()
        callbacks = [
            seeing,
            keras.callbacks.ReduceLROnPlateau("loss", patience=1, min_delta=10.0),
            keras.callbacks.EarlyStopping("loss", 10.0, patience=3, restore_best_weights=True),
            keras.callbacks.ModelCheckpoint(
                tmp_path / f"{number}.weights.h5", save_weights_only=True
            ),
            keras.callbacks.CSVLogger(tmp_path / f"{number}.csv"),
            keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.9 ** (epoch % 2)),
            keras.callbacks.TerminateOnNaN(),
            keras.callbacks.LambdaCallback(
                on_epoch_begin=lambda epoch, logs, to=seeing.seen: to.append(("lambda", epoch))
            ),
        ]
        epochs = by_trainer(each, small, samples(), spec_of(6), callbacks=callbacks)
        outcomes.append((epochs, seeing.seen, (tmp_path / f"{number}.csv").read_text()))
    assert outcomes[0] == outcomes[1]
    assert len(outcomes[0][0]) == 4, "it was stopped early"


def test_a_callback_may_change_the_model_before_the_training(
    only_compiled: CompiledTrainer,
) -> None:
    class Changing(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_begin(self, logs: Any = None) -> None:
            self.model.layers[1].rate = 0.7
            self.model.layers[0].activation = keras.activations.tanh

    splits = samples()
    epochs = by_trainer(only_compiled, small, splits, spec_of(), callbacks=[Changing()])
    plain = by_trainer(PlainTrainer(), small, splits, spec_of(), callbacks=[Changing()])
    assert epochs == plain != by_trainer(only_compiled, small, splits, spec_of())


def test_trials_share_no_state(only_compiled: CompiledTrainer) -> None:
    trainer, splits = only_compiled, samples()
    models = []

    def build() -> keras.Model:
        models.append(small())
        return models[-1]

    by_trainer(trainer, build, splits, spec_of(1))
    kept = [np.array(weight) for weight in models[0].get_weights()]
    by_trainer(trainer, build, splits, spec_of(3))
    assert all(map(np.array_equal, kept, models[0].get_weights()))
    evaluated = models[0].evaluate(splits.train.x, splits.train.y, verbose=0)
    models[1].evaluate(splits.train.x, splits.train.y, verbose=0)
    assert models[0].evaluate(splits.train.x, splits.train.y, verbose=0) == evaluated


@pytest.mark.exhaustive
def test_programs_that_were_used_longest_ago_are_let_go_and_freed() -> None:
    trainer, splits = CompiledTrainer("compiled", kept=2), samples()
    trained = {}
    for units in (4, 5, 4, 6):
        trained[units] = by_trainer(trainer, lambda u=units: small(units=u), splits, spec_of(1))
        if units == 5:
            (_, first), (_, second) = ((weakref.ref(p), p) for p in trainer.programs)
            dropped = weakref.ref(second)
            del first, second
    assert len(trainer.programs) == 2
    gc.collect()
    assert dropped() is None
    made = trainer.programs.made
    by_trainer(trainer, lambda: small(units=4), splits, spec_of(1))
    assert trainer.programs.made == made, "that of 4 units was used since"
    again = by_trainer(trainer, lambda: small(units=5), splits, spec_of(1))
    assert (trainer.programs.made, again) == (made + 1, trained[5]), "it is made again"


@pytest.mark.exhaustive
def test_many_trials_leave_nothing_behind(only_compiled: CompiledTrainer) -> None:
    trainer, splits = only_compiled, samples()

    def objects_after(trials: int) -> int:
        for number in range(trials):
            by_trainer(trainer, lambda n=number: small(0.1 + n / 100), splits, spec_of(1))
        gc.collect()
        return len(gc.get_objects())

    before = objects_after(2)
    assert objects_after(4) - before < 400


@pytest.mark.exhaustive
def test_programs_that_are_let_go_leave_nothing_behind() -> None:
    trainer, splits = CompiledTrainer("compiled", kept=1), samples()

    def objects_after(trials: int) -> int:
        for units in [*range(4, 4 + trials), 4]:
            by_trainer(trainer, lambda units=units: small(units=units), splits, spec_of(1))
        gc.collect()
        return len(gc.get_objects())

    before = objects_after(2)
    assert objects_after(3) - before < 500, "the operations of one graph are as many"


def batches_of(size: int) -> Splits:
    """A batch for training and one for validation."""
    some = samples().train
    given = (some.x[:size], some.y[:size])
    return ks.datasets.arrays(*given, validation=given, test=None).load()


def wide() -> keras.Model:
    """Its gradients are large enough for TensorFlow to sum them up in temporary variables.

    That takes four fifths of 256 MB at once, by TensorFlow's own estimate, and a tensor of a
    known size that is used three times.
    """
    inputs = keras.Input((12,))
    shared = layers.RepeatVector(300_000)(layers.Dense(4)(inputs))
    ways = [layers.Activation(name)(shared) for name in ("tanh", "sigmoid", "softsign", "elu")]
    sums = layers.Add()([layers.GlobalAveragePooling1D()(way) for way in ways])
    return compiled(keras.Model(inputs, layers.Dense(3, activation="softmax")(sums)))


def attentive() -> keras.Model:
    """The order in which the gradients of what attention is given are summed up matters."""
    inputs = keras.Input((12,))
    steps = layers.RepeatVector(392)(layers.Dense(16)(inputs))
    steps = steps + layers.Embedding(392, 16)(keras.ops.arange(392))
    steps = steps + layers.MultiHeadAttention(2, 8)(steps, steps)
    pooled = layers.GlobalAveragePooling1D()(steps)
    return compiled(keras.Model(inputs, layers.Dense(3, activation="softmax")(pooled)))


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("build", "size"), [(wide, 8), pytest.param(attentive, 40, marks=pytest.mark.exhaustive)]
)
def test_sums_of_large_gradients_come_to_the_same_each_time(
    build: Callable[[], keras.Model], size: int
) -> None:
    trainer, splits, spec = CompiledTrainer("compiled"), batches_of(size), spec_of(1, size)
    trained = [by_trainer(trainer, build, splits, spec) for _ in range(2)]
    assert len(trainer.programs) == 1
    assert trained == 2 * [by_hand(build, splits, spec)]
