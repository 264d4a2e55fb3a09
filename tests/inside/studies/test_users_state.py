"""User code that keeps or changes state, and callbacks: each training is as if alone."""

from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np
import pytest
import tensorflow as tf
from exact_training import by_fit, by_hand, by_trainer, samples, spec_of
from model_zoo import compiled, stack
from suite import exhaustive_but

import kerastudy as ks
from studies.commands import study_text
from studies.executors import Session
from studies.training import CompiledTrainer, PlainTrainer, UsersState
from tracking.records import CodeDescription, EpochResult, TrialTask

# State of the user's modules and of the process, which fits change.

layers = keras.layers


class Growing(keras_tuner.HyperModel):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.built = 0

    def build(self, hp: Any) -> keras.Model:
        self.built += 1
        return of_width(self.built, hp)


def growing() -> Callable[[Any], keras.Model]:
    calls: list[int] = []

    def build(hp: Any) -> keras.Model:
        calls.append(0)
        return of_width(len(calls), hp)

    return build


def of_width(units: int, hp: Any) -> keras.Model:
    optimizer = keras.optimizers.SGD(hp.Float("rate", 0.01, 0.1))
    return compiled(stack(layers.Dense(units)), optimizer)


@pytest.mark.parametrize(
    ("make", "message", "stores"),
    [
        # The same holds for a second launch in the same process.
        (Growing, "Growing", ["first", "second"]),
        (growing, "calls (test_users_state.py)", ["first"]),
    ],
)
def test_what_a_builder_counts_is_set_back_and_told_once(
    make: Any, message: str, stores: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    part = samples().train
    data = ks.datasets.arrays(part.x, part.y, validation=10, test=None)
    study = ks.Study("growing", data=data, build=make(), trials=2, epochs=1)
    for store in stores:
        history = study.launch(store=tmp_path / store, progress=False, verify="off")
        results = [trial.result for trial in history.ended]
        # Twelve weights and a bias of the first layer, two for each class of the second.
        assert [result.model_parameters for result in results] == [12 + 1 + 6] * 2
        assert [result.trainer for result in results] == ["compiled"] * 2
    assert caplog.text.count(message) == 1
    assert "2 of 2 trials by compiled steps" in study_text(history)


class Holder:
    shared = 1

    def __init__(self) -> None:
        self.inner: dict[str, Any] = {"list": [1, [2]]}


HOLDER, VALUES = Holder(), {"array": np.arange(4.0), "more": (deque([1], 2), {1, 2})}
TABLES: dict[str, Any] = {"d": defaultdict(list), "o": OrderedDict(a=1), "c": Counter("aab")}
# The test fills this list, because TensorFlow must get its threads before.
VARIABLES: list[Any] = []
GENERATORS: list[Any] = [np.random.default_rng(1), np.random.RandomState(2)]
NUMBER = 1


def changes(calls: list[int] = []) -> None:  # noqa: B006
    """Changes all of these objects, in place or not."""
    global NUMBER, LATER
    NUMBER, LATER = 2, True
    calls.append(1)
    HOLDER.inner["list"][1].append(3)
    HOLDER.other = Holder.shared = 5  # type: ignore[attr-defined]
    VALUES["array"][:] = 0.0
    VALUES["more"][0].append(2)
    VALUES["more"][1].add(3)
    TABLES["d"]["x"].append(1)
    TABLES["o"]["b"] = TABLES["c"]["b"] = 7
    VARIABLES[0][0].assign(9.0)
    VARIABLES[1].assign(9.0)
    draws()


def draws() -> list[Any]:
    return [
        float(VARIABLES[2].uniform(())),
        GENERATORS[0].random(),
        GENERATORS[1].random(),
        float(keras.random.uniform((), seed=GENERATORS[2])),
    ]


def as_text() -> str:
    held = [HOLDER.inner, vars(HOLDER).keys(), Holder.shared, VALUES, TABLES, NUMBER]
    held += [VARIABLES[0].numpy(), VARIABLES[1].numpy(), "LATER" in globals(), changes.__defaults__]
    return repr(held)


def test_all_that_functions_reach_is_set_back_in_place() -> None:
    VARIABLES.extend((tf.Variable([1.0, 2.0]), keras.Variable(3.0)))
    VARIABLES.append(tf.random.Generator.from_seed(1))
    GENERATORS.append(keras.random.SeedGenerator(3))
    state = UsersState(changes)
    before, objects = as_text(), [VALUES["array"], HOLDER.inner, TABLES["d"]]
    first = draws()
    state.set_back()
    changes()
    assert as_text() != before
    assert set(state.set_back()) >= {
        f"{name} (test_users_state.py)"
        for name in ("NUMBER", "LATER", "HOLDER", "Holder", "VALUES", "TABLES", "VARIABLES")
    }
    assert state.changed() == []
    assert as_text() == before
    assert draws() == first
    now = [VALUES["array"], HOLDER.inner, TABLES["d"]]
    assert all(one is other for one, other in zip(objects, now, strict=True))


def other_settings() -> None:
    keras.config.set_floatx("float64")
    keras.config.set_epsilon(0.1)
    keras.config.set_image_data_format("channels_first")
    keras.config.set_max_epochs(1)
    tf.config.run_functions_eagerly(True)


SETTINGS = {
    "nothing": lambda: None,
    "policy": lambda: keras.mixed_precision.set_global_policy("mixed_float16"),
    "others": other_settings,
}


def build(hp: Mapping[str, Any]) -> keras.Model:
    SETTINGS[hp["setting"]]()
    return compiled(stack(layers.Dense(4, "tanh"), layers.BatchNormalization()))


@pytest.mark.filterwarnings("ignore:Even though the `tf.config.experimental_run_functions")
@pytest.mark.filterwarnings("ignore:Limiting epochs")
def test_what_a_builder_sets_for_the_whole_process_ends_with_its_trial(tmp_path: Path) -> None:
    splits, spec = samples(), spec_of(2)
    expected = by_hand(lambda: build({"setting": "nothing"}), splits, spec)
    data = ks.datasets.arrays(
        *(splits.train.x, splits.train.y),
        validation=(splits.validation.x, splits.validation.y),
        test=None,
    )
    # The default values, which a launch tries first, set most of the settings.
    space = ks.SearchSpace(ks.Choice("setting", list(SETTINGS)[::-1]))
    study = ks.Study("settings", data=data, build=build, space=space, objective="val_loss")
    session = Session.open(study, CodeDescription("", "", "", ""), None)

    def trained(setting: str) -> list[Mapping[str, float]]:
        epochs: list[Mapping[str, float]] = []

        def on_epoch(epoch: EpochResult) -> Any:
            epochs.append(epoch.metrics)
            return "continue"

        values = replace(spec, values={"setting": setting})
        session.run(TrialTask(values, space, tmp_path / "best.weights.h5"), on_epoch)
        return epochs

    for setting in [*SETTINGS][1:]:
        trained(setting)
        assert trained("nothing") == [epoch.metrics for epoch in expected], f"after {setting}"
    session.save_champion(
        replace(spec, values={"setting": "others"}),
        tmp_path / "best.weights.h5",
        space,
        tmp_path / "champion",
    )
    assert keras.config.dtype_policy().name == keras.config.floatx() == "float32"


# Callbacks that look at, change or stop a training, compared with one call of plain `fit`.


@pytest.fixture(scope="module")
def trainer() -> CompiledTrainer:
    return CompiledTrainer()


def small() -> keras.Model:
    inner = [layers.Dense(4, activation="relu"), layers.Dropout(0.3), layers.Dense(4)]
    return compiled(stack(*inner))


def frozen() -> keras.Model:
    """The base is frozen, as before fine-tuning."""
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
    compiled(model, keras.optimizers.SGD(0.05))
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
    """Changes only the training step, because the validation step is traced already."""
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

    def __init__(self, look: Callable[[keras.Model], float]) -> None:
        super().__init__()
        self.look = look

    def on_train_begin(self, logs: Any = None) -> None:
        self.look(self.model)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs["seen"] = self.look(self.model)


class Seeing(keras.callbacks.Callback):  # type: ignore[misc]
    """Notes its calls and their arguments as text, because NaN does not equal NaN."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []

    def on_train_begin(self, logs: Any = None) -> None:
        self.notes.clear()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.notes.append(f"begin {epoch}")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        rate = float(self.model.optimizer.learning_rate)
        self.notes.append(f"{epoch} {logs} {rate} {self.model.stop_training}")
        logs["added"] = 1.0

    def on_test_end(self, logs: Any = None) -> None:
        self.notes.append(f"tested {sorted(logs)}")

    def on_train_end(self, logs: Any = None) -> None:
        self.notes.append(f"end {logs} {self.model.stop_training}")


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


CASES: dict[str, tuple[Callable[[], keras.Model], Callable[[], list[keras.callbacks.Callback]]]] = {
    "unfreezing": (frozen, lambda: [At("epoch_begin 2", unfreeze)]),
    "freezing": (small, lambda: [At("epoch_begin 2", freeze)]),
    "freezing without a trace": (small, lambda: [At("epoch_end 0", freeze_without_a_trace)]),
    "a change before the training": (small, lambda: [At("train_begin", change_without_a_trace)]),
    "a change": (small, lambda: [At("epoch_begin 1", change)]),
    "a change without a trace": (small, lambda: [At("epoch_begin 1", change_without_a_trace)]),
    "a change before validation": (small, lambda: [At("test_begin", change)]),
    "a rate": (small, lambda: [At("epoch_end 1", slow_down)]),
    "predicting": (small, lambda: [Looking(predicted)]),
    "all of Keras": (small, of_keras),
    "stopping before an epoch": (small, lambda: [At("epoch_begin 2", stop)]),
    "a loss that is not finite": (exploding, lambda: [keras.callbacks.TerminateOnNaN()]),
}
# `fit` traces a step again, or ends an epoch early, and so trains these itself.
BY_FIT = ["unfreezing", "freezing", "a change"]
BY_FIT += ["a change before validation", "stopping before an epoch", "a loss that is not finite"]
KEPT = ["all of Keras", "a change before the training", "a loss that is not finite"]


@pytest.mark.parametrize("name", exhaustive_but(KEPT, CASES))
def test_callbacks_see_and_do_what_they_do_in_fit(
    name: str, trainer: CompiledTrainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    build, callbacks = CASES[name]
    splits, spec, seeing = samples(), spec_of(4), Seeing()
    expected = repr(by_fit(build, splits, spec, [*callbacks(), seeing]))
    files = {path.name for path in tmp_path.iterdir()}
    log = Path("log.csv").read_text() if "log.csv" in files else ""
    for any_trainer in (trainer, trainer, PlainTrainer()):
        again = Seeing()
        epochs = by_trainer(any_trainer, build, splits, spec, callbacks=[*callbacks(), again])
        assert again.notes == seeing.notes
        assert repr(epochs) == expected
        assert not log or Path("log.csv").read_text() == log
        assert trainer.used[0] == ("plain" if name in BY_FIT else "compiled")


def test_errors_of_callbacks_are_those_of_fit(trainer: CompiledTrainer) -> None:
    callback, spec = keras.callbacks.TerminateOnNaN(raise_error=True), spec_of(3, 8)
    with pytest.raises(RuntimeError, match=r"at batch \d"):
        by_fit(exploding, samples(), spec, [callback])
    for any_trainer in (trainer, PlainTrainer()):
        with pytest.raises(RuntimeError, match=r"at batch \d"):
            by_trainer(any_trainer, exploding, samples(), spec, callbacks=[callback])
