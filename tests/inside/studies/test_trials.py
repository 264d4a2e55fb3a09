"""Trials around their trainers, and refusals before any trial."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np
import pytest
import tensorflow as tf
from conformance.models import SPACE, dense, make_spec, make_study
from conformance.trainer import train

import kerastudy as ks
from search_spaces import BuilderError, Hyperparameters, ObjectiveError, StudyError
from studies.training import PlainTrainer, check_study, remember_settings, resolve_space
from tracking.records import TrialResult

SPARSE = "sparse_categorical_crossentropy"


def run(study: ks.Study, folder: Path, epochs: int = 3, **fields: Any) -> TrialResult:
    spec = dataclasses.replace(make_spec(epochs), **fields)
    return train(PlainTrainer(), study, spec, folder)[0]


def exploding(hp: Hyperparameters) -> keras.Model:
    model = dense(hp)
    model.compile(keras.optimizers.SGD(1e30), SPARSE)
    return model


def raising(hp: Hyperparameters) -> keras.Model:
    raise ValueError("too wide")


def giving_up(hp: Hyperparameters) -> keras.Model:
    raise keras_tuner.errors.FailedTrialError("too large")


def without_memory(hp: Hyperparameters) -> keras.Model:
    np.empty(10**18)
    return dense(hp)


def of_wrong_shape(hp: Hyperparameters) -> keras.Model:
    model = keras.Sequential([keras.layers.Input((5,)), keras.layers.Dense(3)])
    model.compile("sgd", "mse")
    return model


def reading(hp: Hyperparameters) -> keras.Model:
    assert hp["rates"]
    return dense(hp)


@pytest.mark.parametrize(
    ("build", "reason", "mistake"),
    [
        (exploding, "loss is (nan|inf) in epoch 1", False),
        (raising, r"^the builder raised ValueError: too wide \(test_trials.py, line ", True),
        (giving_up, "too large", False),
        (without_memory, "", False),
        (
            of_wrong_shape,
            "^the training raised ValueError: Input 0 with name 'None' of layer '",
            True,
        ),
        (reading, "'rates'.*'rate'", True),
    ],
)
def test_what_can_not_be_trained_is_infeasible_with_the_reason(
    build: Any, reason: str, mistake: bool, tmp_path: Path
) -> None:
    """Giving up a trial, or a lack of memory, is not a mistake in the code."""
    result = run(make_study(build), tmp_path)
    assert (result.state, result.best) == ("infeasible", None)
    assert re.search(reason, result.reason, re.DOTALL)
    assert bool(result.raised) == mistake
    assert not (tmp_path / "best.weights.h5").exists()


def test_an_objective_that_no_epoch_logs_ends_the_study(tmp_path: Path) -> None:
    with pytest.raises(ObjectiveError, match=r"one of 'max' or 'min'\. Received: 'maximise'"):
        ks.Objective("val_f1", "maximise")  # type: ignore[arg-type]
    with pytest.raises(ObjectiveError, match=r"'val_acuracy'.*'val_loss'.*'val_accuracy'"):
        run(make_study(dense), tmp_path, objective=ks.Objective("val_acuracy", "max"))


def test_a_checkpoint_that_cannot_be_written_is_not_the_trials_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way of the folder")
    with pytest.raises(StudyError, match="cannot be written"):
        run(make_study(dense), tmp_path / "file", epochs=1)


def test_names_of_metrics_do_not_change_from_trial_to_trial(tmp_path: Path) -> None:
    """Keras would call the second trial's metric auc_1."""

    def build(hp: Hyperparameters) -> keras.Model:
        model = dense(hp)
        model.compile("sgd", SPARSE, metrics=[keras.metrics.SparseTopKCategoricalAccuracy(2)])
        return model

    bests = [run(make_study(build), tmp_path, epochs=1).best for _ in range(2)]
    assert bests[0] == bests[1] is not None


def test_a_dtype_policy_of_the_studys_file_outlives_a_trial(tmp_path: Path) -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    remember_settings()
    try:
        run(make_study(dense), tmp_path, epochs=1)
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")
        remember_settings()


class Failing(keras.Sequential):
    def train_step(self, data: object) -> dict[str, float]:
        raise RuntimeError("not this one")


def spread(hp: Hyperparameters) -> keras.Model:
    with tf.distribute.OneDeviceStrategy("CPU:0").scope():
        return dense(hp)


def failing_loss(y_true: object, y_pred: object) -> None:
    raise RuntimeError("not this one")


def compiled_with(kind: type[keras.Model], loss: Any) -> Any:
    def build(hp: Hyperparameters) -> keras.Model:
        model = kind([keras.layers.Dense(3)])
        model.compile("sgd", loss)
        return model

    return build


# These errors come before anything is written. `test_bad_input` has more of them.


def check(build: object, **settings: object) -> list[str]:
    study = make_study(build, **settings)  # type: ignore[arg-type]
    return check_study(study, study.data.load()).warnings


@pytest.mark.parametrize(
    ("build", "settings", "words"),
    [
        (dense, {"callbacks": lambda hp: [3]}, "callbacks.*Received: 3"),
        (spread, {}, r"distribution strategy \(OneDeviceStrategy\).*--workers N"),
        *(
            (compiled_with(*parts), {}, r"RuntimeError: not this one \(test_trials.py, line ")
            for parts in ((Failing, "mse"), (keras.Sequential, failing_loss))
        ),
    ],
)
def test_what_fails_whatever_the_values_is_refused(
    build: Any, settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(BuilderError, match=words):
        check(build, **settings)


def test_what_raises_for_the_default_values_is_refused_with_what_to_do() -> None:
    def build(hp: Hyperparameters) -> keras.Model:
        if hp["rate"] == SPACE.defaults()["rate"]:
            raise RuntimeError("not this one")
        return dense(hp)

    with pytest.raises(BuilderError, match=r"RuntimeError: not this one.*another default="):
        check(build)
    (warning,) = check(without_memory)
    assert "MemoryError" in warning


def test_an_objective_of_the_training_samples_is_a_warning() -> None:
    (warning,) = check(dense, objective="accuracy")
    assert "training samples" in warning and "val_accuracy" in warning
    assert check(dense, objective="val_accuracy") == check(dense) == []


METRICS = keras.metrics


class OwnMean(METRICS.SparseCategoricalAccuracy):  # type: ignore[misc]
    """It has no class of Keras's own."""


@pytest.mark.parametrize(
    ("metric", "direction"),
    [
        (METRICS.SparseCategoricalAccuracy, "max"),
        (METRICS.SparseCategoricalCrossentropy, "min"),
        (METRICS.SparseTopKCategoricalAccuracy, "max"),
        (lambda name: METRICS.MeanMetricWrapper(METRICS.sparse_categorical_accuracy, name), None),
        (OwnMean, None),
    ],
)
def test_the_direction_of_keras_own_metrics_is_known_under_any_name(
    metric: Any, direction: str | None
) -> None:
    def build(hp: Hyperparameters) -> keras.Model:
        model = dense(hp)
        model.compile("sgd", SPARSE, metrics=[metric(name="quality")])
        return model

    study = make_study(build, objective="val_quality")
    if direction is None:
        with pytest.raises(ObjectiveError, match=r"'val_quality' should go up or down.*'max'\)"):
            check_study(study, study.data.load())
    else:
        objective = check_study(study, study.data.load()).objective
        assert objective == ks.Objective("val_quality", direction)  # type: ignore[arg-type]


def test_what_can_only_be_traced_is_no_mistake() -> None:
    """The check runs the model eagerly, unlike trials."""

    def loss(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        if tf.executing_eagerly():
            raise RuntimeError("only in a graph")
        return keras.losses.sparse_categorical_crossentropy(y_true, y_pred)

    def build(hp: Hyperparameters) -> keras.Model:
        model = dense(hp)
        model.compile("sgd", loss)
        return model

    assert check(build) == []


def test_an_objective_of_optunas_is_traced_once() -> None:
    scored: list[float] = []

    def objective(trial: Any) -> float:
        scored.append(trial.suggest_float("rate", 0.0, 0.5))
        return 0.97

    study = dataclasses.replace(make_study(dense), build=objective, space=None)
    with pytest.raises(BuilderError, match=r"0\.97\. Is it an objective function of Optuna"):
        resolve_space(study, study.data.load())
    assert len(scored) == 1
