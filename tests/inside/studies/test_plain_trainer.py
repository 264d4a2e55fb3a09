"""The plain trainer, and what becomes of a trial around it."""

from __future__ import annotations

import dataclasses
import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np
import pytest
import tensorflow as tf
from conformance.models import (
    SPACE,
    dense,
    functional,
    handmade,
    make_spec,
    make_study,
)
from conformance.trainer import RepeatingConformance, ResumingConformance, TrainerConformance
from suite import exhaustive, exhaustive_but

import kerastudy as ks
from search_spaces import BuilderError, Hyperparameters, ObjectiveError, StudyError
from studies.training import (
    PlainTrainer,
    batches,
    check_study,
    configure_tensorflow,
    remember_settings,
    resolve_space,
    run_trial,
)
from tracking.records import Decision, EpochResult, TrialResult, TrialTask


class OfPlainTrainer:
    @pytest.fixture
    def trainer(self) -> PlainTrainer:
        return PlainTrainer()


class TestPlainTrainer(OfPlainTrainer, TrainerConformance):
    # The compiled trainer leaves these to it, in its own tests.
    test_callbacks_that_watch_batches_see_each = exhaustive(
        TrainerConformance.test_callbacks_that_watch_batches_see_each
    )
    # Which epoch counts is decided around a trainer.
    test_a_tie_goes_to_the_lower_validation_loss = exhaustive(
        TrainerConformance.test_a_tie_goes_to_the_lower_validation_loss
    )
    # A training that is cut stops, and goes on, alike.
    test_stops_when_told = exhaustive(TrainerConformance.test_stops_when_told)
    test_cut_after_any_epoch_it_goes_on_with_its_callbacks = exhaustive(
        TrainerConformance.test_cut_after_any_epoch_it_goes_on_with_its_callbacks
    )
    test_goes_on_from_another_as_if_trained_straight_through = exhaustive(
        TrainerConformance.test_goes_on_from_another_as_if_trained_straight_through
    )


@pytest.mark.exhaustive
class TestRepeatedByPlainTrainer(OfPlainTrainer, RepeatingConformance):
    """It traces each time."""


@pytest.mark.exhaustive
class TestResumedByPlainTrainer(OfPlainTrainer, ResumingConformance):
    """What is around a trainer is tested by the compiled one, which need not trace each time."""


@pytest.mark.parametrize(
    ("model", "batch_size"), exhaustive_but([(dense, 16)], [(dense, 16), (functional, 10)])
)
def test_data_too_large_to_be_put_in_order_in_one_go_trains_as_by_hand(
    model: Callable[[Hyperparameters], keras.Model],
    batch_size: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Batch by batch, the same bits."""
    monkeypatch.setattr(batches, "_LARGEST_WHOLE_EPOCH", 0)
    configure_tensorflow(None)
    study, spec = make_study(model), make_spec(batch_size=batch_size)
    wanted, _ = handmade(model, batch_size)
    assert TrainerConformance().train(PlainTrainer(), study, spec, tmp_path)[1] == wanted


def run(study: ks.Study, folder: Path, epochs: int = 3) -> TrialResult:
    configure_tensorflow(None)
    path = folder / "best.weights.h5"
    splits = study.data.load()
    spec, trainer = make_spec(epochs), PlainTrainer()
    return run_trial(study, splits, TrialTask(spec, SPACE, path), lambda _: "continue", trainer)


@pytest.mark.exhaustive
def test_trials_leave_nothing_behind(tmp_path: Path) -> None:
    """Each traces its steps anew; TensorFlow would keep the graphs."""
    study = make_study(dense)

    def objects_after(trials: int) -> int:
        for _ in range(trials):
            run(study, tmp_path, epochs=1)
        gc.collect()
        return len(gc.get_objects())

    before = objects_after(2)
    assert objects_after(2) - before < 700


def test_a_loss_that_turns_nan_is_infeasible_with_the_reason(tmp_path: Path) -> None:
    def exploding(hp: Hyperparameters) -> keras.Model:
        model = dense(hp)
        model.compile(keras.optimizers.SGD(1e30), "sparse_categorical_crossentropy")
        return model

    result = run(make_study(exploding), tmp_path)
    assert result.state == "infeasible"
    assert result.best is None
    assert "epoch 1" in result.reason and ("nan" in result.reason or "inf" in result.reason)
    assert not (tmp_path / "best.weights.h5").exists()


def test_a_builder_that_raises_is_infeasible_with_the_reason(tmp_path: Path) -> None:
    def raising(hp: Hyperparameters) -> keras.Model:
        raise ValueError("too wide")

    result = run(make_study(raising), tmp_path)
    assert result.state == "infeasible"
    said = "the builder raised ValueError: too wide (test_plain_trainer.py, line "
    assert result.reason.startswith(said)
    assert result.reason == f"the builder raised {result.raised}"


def test_what_ends_a_search_of_keras_tuner_ends_the_study(tmp_path: Path) -> None:
    def fatal(hp: Hyperparameters) -> keras.Model:
        raise keras_tuner.errors.FatalTypeError("no such type")

    with pytest.raises(BuilderError, match=r"ended the search: FatalTypeError: no such type \("):
        run(make_study(fatal), tmp_path)


@pytest.mark.parametrize("on_purpose", [True, False])
def test_neither_a_trial_given_up_nor_a_lack_of_memory_is_a_mistake(
    tmp_path: Path, on_purpose: bool
) -> None:
    def given_up(hp: Hyperparameters) -> keras.Model:
        if on_purpose:
            raise keras_tuner.errors.FailedTrialError("too large")
        np.empty(10**18)
        return dense(hp)

    result = run(make_study(given_up), tmp_path)
    assert (result.state, result.raised) == ("infeasible", "")


def test_a_training_that_raises_is_infeasible_with_the_reason(tmp_path: Path) -> None:
    def wrong_shape(hp: Hyperparameters) -> keras.Model:
        model = keras.Sequential([keras.layers.Input((5,)), keras.layers.Dense(3)])
        model.compile("sgd", "mse")
        return model

    result = run(make_study(wrong_shape), tmp_path)
    assert result.state == "infeasible"
    said = "the training raised ValueError: Input 0 with name 'None' of layer '"
    assert result.reason.startswith(said)
    assert "(wrong_shape in test_plain_trainer.py, line" in result.reason


def test_reading_an_undeclared_hyperparameter_is_told_before_and_recorded_after(
    tmp_path: Path,
) -> None:
    def reading(hp: Hyperparameters) -> keras.Model:
        assert hp["rates"]
        return dense(hp)

    result = run(make_study(reading), tmp_path)
    assert result.state == "infeasible"
    assert "'rates'" in result.reason and "'rate'" in result.reason
    with pytest.raises(BuilderError, match=r"'rates'.*'rate'"):
        TestCheckStudy().check(reading)


def test_an_objective_that_no_epoch_logs_ends_the_study(tmp_path: Path) -> None:
    study = make_study(dense)
    spec = make_spec()
    object.__setattr__(spec, "objective", ks.Objective("val_acuracy", "max"))
    configure_tensorflow(None)
    with pytest.raises(ObjectiveError, match=r"'val_acuracy'.*'val_loss'.*'val_accuracy'"):
        run_trial(
            study,
            study.data.load(),
            TrialTask(spec, SPACE, tmp_path / "b.weights.h5"),
            lambda e: "continue",
            PlainTrainer(),
        )


def test_random_numbers_whose_state_is_in_no_variable_begin_anew(tmp_path: Path) -> None:
    """A training that was cut comes to what one in a single go comes to."""
    import tensorflow as tf

    def noisy(hp: Hyperparameters) -> keras.Model:
        noise = keras.layers.Lambda(lambda x: x + tf.random.normal(tf.shape(x)))
        model = keras.Sequential([noise, keras.layers.Dense(3)])
        model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        return model

    configure_tensorflow(None)
    study = make_study(noisy)

    def curve(name: str, *epochs: int) -> list[float]:
        seen: list[float] = []

        def note(epoch: EpochResult) -> Decision:
            seen.append(epoch.metrics["val_loss"])
            return "continue"

        for count in epochs:
            seen.clear()
            files = tmp_path / f"{name}.weights.h5", tmp_path / f"{name}.state"
            task = TrialTask(make_spec(count), SPACE, *files)
            run_trial(study, study.data.load(), task, note, PlainTrainer())
        return seen

    whole = curve("whole", 4)
    assert len(whole) == 4
    assert curve("cut", 2, 4) == whole


@pytest.mark.parametrize(
    ("values", "logged"),
    [([0.25, 0.5], {"val_f1_0": 0.25, "val_f1_1": 0.5}), ([0.25], {"val_f1": 0.25})],
    ids=["classes", "binary"],
)
def test_a_metric_with_a_value_per_class_is_logged_per_class(
    values: list[float], logged: dict[str, float], tmp_path: Path
) -> None:
    """As F1Score is by default; of a single output it has one value, and its own name."""

    class PerClass(keras.metrics.Metric):  # type: ignore[misc]
        def update_state(self, *_: object, **__: object) -> None: ...

        def result(self) -> object:
            return keras.ops.convert_to_tensor(values)

    def with_vector(hp: Hyperparameters) -> keras.Model:
        model = dense(hp)
        loss = "sparse_categorical_crossentropy"
        model.compile("sgd", loss, metrics=[PerClass(name="f1")])
        return model

    result = run(make_study(with_vector), tmp_path)
    assert result.best is not None
    found = {name: v for name, v in result.best.metrics.items() if name.startswith("val_f1")}
    assert found == logged


def test_a_checkpoint_that_cannot_be_written_is_not_the_trials_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way of the folder")
    with pytest.raises(StudyError, match="cannot be written"):
        run(make_study(dense), tmp_path / "file", epochs=1)


def test_names_of_metrics_do_not_change_from_trial_to_trial(tmp_path: Path) -> None:
    """Keras would call the second trial's metric auc_1, and its output dense_3."""

    def with_auc(hp: Hyperparameters) -> keras.Model:
        inputs = keras.Input((12,))
        one, other = keras.layers.Dense(1)(inputs), keras.layers.Dense(1)(inputs)
        model = keras.Model(inputs, [one, other])
        model.compile("sgd", ["mse", "mae"], metrics=[[keras.metrics.AUC()], ["mae"]])
        return model

    study = make_study(dense)
    names = []
    for _ in range(2):
        from studies.training import begin_trial

        begin_trial(0)
        model = with_auc(Hyperparameters(SPACE, {"rate": 0.3}))
        x, y = study.data.load().train.x, study.data.load().train.y % 2
        names.append(sorted(model.evaluate(x, [y, y], verbose=0, return_dict=True)))
    assert names[0] == names[1]


def test_a_dtype_policy_of_the_studys_file_outlives_a_trial(tmp_path: Path) -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    remember_settings()
    try:
        run(make_study(dense), tmp_path, epochs=1)
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")
        remember_settings()


class TestCheckStudy:
    """What is told before anything is written."""

    def check(self, build: object, **settings: object) -> list[str]:
        configure_tensorflow(None)
        study = make_study(build, **settings)  # type: ignore[arg-type]
        return check_study(study, study.data.load()).warnings

    def test_a_good_study_has_no_warnings(self) -> None:
        assert self.check(dense) == []

    def test_a_builder_that_returns_nothing(self) -> None:
        with pytest.raises(BuilderError, match=r"must return a Keras model. Received: None"):
            self.check(lambda hp: None)

    def test_a_model_that_is_not_compiled(self) -> None:
        with pytest.raises(BuilderError, match=r"not compiled"):
            self.check(lambda hp: keras.Sequential([keras.layers.Dense(1)]))

    @pytest.mark.parametrize("part", ["builder", "step", "loss"])
    def test_what_raises_whatever_the_values_is_refused(self, part: str) -> None:
        class Failing(keras.Sequential):
            def train_step(self, data: object) -> dict[str, float]:
                raise RuntimeError("not this one")

        def loss(y_true: object, y_pred: object) -> None:
            raise RuntimeError("not this one")

        def raising(hp: Hyperparameters) -> keras.Model:
            if part == "builder":
                raise RuntimeError("not this one")
            kind = Failing if part == "step" else keras.Sequential
            model = kind([keras.layers.Dense(3)])
            model.compile("sgd", "mse" if part == "step" else loss)
            return model

        said = r"RuntimeError: not this one \(test_plain_trainer.py, line "
        with pytest.raises(BuilderError, match=said):
            self.check(raising)

    def test_what_raises_for_the_default_values_alone_is_a_warning(self) -> None:
        def raising(hp: Hyperparameters) -> keras.Model:
            if hp["rate"] == SPACE.defaults()["rate"]:
                raise RuntimeError("not this one")
            return dense(hp)

        (warning,) = self.check(raising)
        assert "RuntimeError: not this one" in warning

    def test_what_can_only_be_traced_is_no_mistake(self) -> None:
        """It is tried as quickly as can be, which is not how trials run."""

        def loss(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
            if tf.executing_eagerly():
                raise RuntimeError("only in a graph")
            return keras.losses.sparse_categorical_crossentropy(y_true, y_pred)

        def build(hp: Hyperparameters) -> keras.Model:
            model = dense(hp)
            model.compile("sgd", loss)
            return model

        assert self.check(build) == []

    def test_an_objective_of_optunas_is_traced_once(self) -> None:
        scored: list[float] = []

        def objective(trial: Any) -> float:
            scored.append(trial.suggest_float("rate", 0.0, 0.5))
            return 0.97

        study = dataclasses.replace(make_study(dense), build=objective, space=None)
        with pytest.raises(BuilderError, match=r"0\.97\. Is it an objective of Optuna's"):
            resolve_space(study, study.data.load())
        assert len(scored) == 1

    def test_callbacks_that_are_none(self) -> None:
        with pytest.raises(BuilderError, match=r"callbacks.*Received: 3"):
            self.check(dense, callbacks=lambda hp: [3])


def test_a_study_compiles_its_models_with_its_own_arguments(tmp_path: Path) -> None:
    """In place of the builder's; what it does not give stays the builder's."""
    seen: list[keras.Model] = []

    def build(hp: Hyperparameters) -> keras.Model:
        model = dense(hp)
        seen.append(model)
        return model

    optimizer = keras.optimizers.SGD(0.25, momentum=0.5)
    metrics = ["accuracy", "sparse_top_k_categorical_accuracy"]
    study = make_study(build, compile={"optimizer": optimizer, "metrics": metrics})
    for _ in range(2):
        result = run(study, tmp_path)
        assert result.best is not None
        assert {"val_accuracy", "val_sparse_top_k_categorical_accuracy"} <= set(result.best.metrics)
    assert all(isinstance(model.optimizer, keras.optimizers.SGD) for model in seen)
    assert [float(model.optimizer.learning_rate.numpy()) for model in seen] == [0.25, 0.25]
    assert len({id(model.optimizer) for model in [*seen]} | {id(optimizer)}) == 3
    assert [model.loss for model in seen] == ["sparse_categorical_crossentropy"] * 2


def test_an_uncompiled_model_is_compiled_by_the_study(tmp_path: Path) -> None:
    def build(hp: Hyperparameters) -> keras.Model:
        return keras.Sequential([keras.layers.Dense(3, activation="softmax")])

    loss = keras.losses.SparseCategoricalCrossentropy()
    assert (
        run(make_study(build, compile={"optimizer": "adam", "loss": loss}), tmp_path).state
        == "complete"
    )
    reason = run(make_study(build, compile={"optimizer": "adam"}), tmp_path).reason
    assert "must give both optimizer and loss" in reason
