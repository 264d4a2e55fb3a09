"""The conformance suite of trainers: bit for bit, they do what `model.fit` by hand does."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import exact_training
import keras
import numpy as np
import pytest
import tensorflow as tf
from suite import exhaustive_but

import kerastudy as ks
from conformance.models import (
    SEED,
    SPACE,
    VALUES,
    by_hand,
    dense,
    epochs_in,
    handmade,
    make_spec,
    make_study,
    noting,
    samples,
    trained_in,
    unbuilt,
)
from search_spaces import Hyperparameters
from studies.training import Trainer, checkpoints, run_trial, weights_digest
from tracking.records import EpochResult, Objective, TrialResult, TrialSpec, TrialTask
from tracking.store import checkpoint_digest

Decide = Callable[[EpochResult], Any]


def at(epoch: int, decision: str) -> Decide:
    return lambda result: decision if result.epoch >= epoch else "continue"


def check_best(result: TrialResult, expected: list[dict], weights: list[list[np.ndarray]]) -> int:
    """Checks the best epoch and its weights against a training by hand. Returns its index."""
    best = min(range(len(expected)), key=lambda epoch: (expected[epoch]["val_loss"], epoch))
    assert result.best is not None and result.best.epoch == best + 1
    assert result.weights_sha256 == weights_digest(weights[best])
    return best


def check_weights(path: Path, model_of: Any, weights: list[np.ndarray]) -> None:
    model = model_of(Hyperparameters(SPACE, VALUES))
    if not model.built:
        model.build((None, 12))
    model.optimizer.build(model.trainable_variables)
    model.load_weights(path)
    for loaded, trained in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(loaded, trained)


def train(
    trainer: Trainer,
    study: ks.Study,
    spec: TrialSpec,
    folder: Path,
    decide: Decide = lambda epoch: "continue",
    **files: Any,
) -> tuple[TrialResult, list[Mapping[str, float]]]:
    """Runs a trial. Returns its result, and the metrics of each epoch.

    `files` are fields of the trial's task, such as `state`.
    """
    epochs: list[Mapping[str, float]] = []

    def on_epoch(epoch: EpochResult) -> Any:
        epochs.append(epoch.metrics)
        return decide(epoch)

    task = TrialTask(spec, SPACE, folder / "best.weights.h5", **files)
    return run_trial(study, study.data.load(), task, on_epoch, trainer), epochs


class TrainerConformance:
    """The tests of trainers. A subclass has a fixture `trainer`."""

    @pytest.fixture
    def trainer(self) -> Trainer:
        raise NotImplementedError

    def test_an_unbuilt_model_trains_as_by_hand(self, trainer: Trainer, tmp_path: Path) -> None:
        """The tests below train built models."""
        expected, weights = handmade(unbuilt, 10)
        result, epochs = train(trainer, make_study(unbuilt), make_spec(5, 10), tmp_path)
        assert epochs == expected
        best = check_best(result, expected, weights)
        check_weights(tmp_path / "best.weights.h5", unbuilt, weights[best])

    def test_a_tie_goes_to_the_lower_validation_loss(
        self, trainer: Trainer, tmp_path: Path
    ) -> None:
        data = ks.datasets.arrays(*samples(40), validation=6, test=None)
        study = dataclasses.replace(make_study(dense), data=data, objective="val_accuracy")
        spec = dataclasses.replace(make_spec(10, 10), objective=Objective("val_accuracy", "max"))
        expected, weights = by_hand(dense, data.load(), spec)
        best = min(range(10), key=lambda e: (-expected[e]["val_accuracy"], expected[e]["val_loss"]))
        assert best != int(np.argmax([m["val_accuracy"] for m in expected])), "it is not the first"
        result, epochs = train(trainer, study, spec, tmp_path)
        assert epochs == expected and result.best is not None
        assert result.best.epoch == best + 1
        check_weights(tmp_path / "best.weights.h5", dense, weights[best])

    def test_cut_after_an_epoch_it_goes_on_with_its_callbacks(
        self, trainer: Trainer, tmp_path: Path
    ) -> None:
        """Patience counters, best values and a reduced learning rate go on too."""

        def callbacks(hp: Hyperparameters) -> list[keras.callbacks.Callback]:
            return [
                keras.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=0.1),
                keras.callbacks.EarlyStopping("loss", patience=4, min_delta=0.2),
                noting(noted),
            ]

        cut, noted = 3, tmp_path / "noted"
        hp = Hyperparameters(SPACE, VALUES)
        study, spec = make_study(dense, callbacks=callbacks), make_spec(epochs=9)
        fitted = exact_training.by_fit(lambda: dense(hp), study.data.load(), spec, callbacks(hp))
        expected = [epoch.metrics for epoch in fitted]
        assert len(expected) < 9, "EarlyStopping ends it"
        state = tmp_path / "trial.state"
        stopped, _ = train(trainer, study, spec, tmp_path, at(cut, "stop"), state=state)
        assert (stopped.state, stopped.epochs) == ("interrupted", cut)
        trained_in(noted)
        again = dataclasses.replace(spec, attempt=2)
        result, epochs = train(trainer, study, again, tmp_path, state=state)
        assert epochs == expected, "all are told again: the attempt is a run of its own"
        assert trained_in(noted) == list(range(cut + 1, len(expected) + 1)), "and not trained again"
        assert (result.state, result.epochs) == ("complete", len(expected))
        best = min(fitted, key=lambda epoch: epoch.metrics["val_loss"])
        assert result.weights_sha256 == weights_digest(best.weights)

    @pytest.mark.parametrize("decision, state", [("prune", "pruned"), ("stop", "interrupted")])
    def test_stops_when_told(
        self, trainer: Trainer, tmp_path: Path, decision: str, state: str
    ) -> None:
        ended: list[str] = []

        def callbacks(hp: Hyperparameters) -> list[keras.callbacks.Callback]:
            return [keras.callbacks.LambdaCallback(on_train_end=lambda logs: ended.append("yes"))]

        metrics, weights = handmade(dense)
        # The direction is such that the best epoch is not the last one.
        falls = metrics[1]["loss"] < metrics[0]["loss"]
        objective = Objective("loss", "max" if falls else "min")
        spec = dataclasses.replace(make_spec(epochs=9), objective=objective)
        study = make_study(dense, callbacks=callbacks)
        result, epochs = train(trainer, study, spec, tmp_path, at(2, decision))
        assert (result.state, result.epochs, len(epochs)) == (state, 2, 2)
        assert result.best is not None and result.best.epoch == 1
        assert ended == ["yes"], "callbacks see the end of a training that is cut short"
        path = tmp_path / "best.weights.h5"
        if state == "interrupted":
            assert (path.exists(), result.checkpoint_sha256) == (False, "")
            return
        assert checkpoint_digest(path) == result.checkpoint_sha256
        assert weights_digest(weights[0]) == result.weights_sha256
        check_weights(path, dense, weights[0])

    def test_callbacks_that_watch_batches_see_each(self, trainer: Trainer, tmp_path: Path) -> None:
        batches: list[int] = []

        def callbacks(hp: Hyperparameters) -> list[keras.callbacks.Callback]:
            return [
                keras.callbacks.LambdaCallback(on_train_batch_end=lambda b, logs: batches.append(b))
            ]

        study = make_study(dense, count=400, callbacks=callbacks)
        train(trainer, study, make_spec(epochs=3, batch_size=8), tmp_path)
        assert len(batches) == 3 * -(-370 // 8)

    def test_what_a_builder_draws_from_tensorflow_depends_on_the_seed_alone(
        self, trainer: Trainer, tmp_path: Path
    ) -> None:
        def drawing(hp: Any) -> keras.Model:
            model = dense(hp)
            for seed in (None, None, 3):
                noise = tf.random.normal(model.layers[0].kernel.shape, seed=seed)
                model.layers[0].kernel.assign_add(noise)
            return model

        study, spec = make_study(drawing), make_spec(1)
        other = dataclasses.replace(spec, seed=SEED + 1)
        runs = [train(trainer, study, task, tmp_path)[1] for task in (spec, other, spec)]
        assert runs[0] == runs[2] != runs[1]

    def test_a_pruner_that_knows_more_by_now_prunes_no_earlier_than_it_was_cut(
        self, trainer: Trainer, tmp_path: Path
    ) -> None:
        """The record is that of a training up to there."""
        study, spec, state = make_study(dense), make_spec(epochs=9), tmp_path / "trial.state"
        metrics, weights = (epochs[:3] for epochs in handmade(dense))
        train(trainer, study, spec, tmp_path, at(3, "stop"), state=state)
        again = dataclasses.replace(spec, attempt=2)
        prune = at(1, "prune")
        result, epochs = train(trainer, study, again, tmp_path, prune, state=state)
        assert (result.state, result.epochs) == ("pruned", 3)
        assert epochs == metrics
        check_best(result, metrics, weights)

    @pytest.mark.parametrize("damaged", exhaustive_but([True], [True, False]))
    def test_with_an_unusable_state_it_is_trained_again(
        self,
        trainer: Trainer,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        damaged: bool,
    ) -> None:
        """The state is damaged, or of another training."""
        # Each epoch writes its state, however short the epoch is.
        monkeypatch.setattr(checkpoints, "_SHARE", math.inf)
        noted, state = tmp_path / "noted", tmp_path / "trial.state"
        study = make_study(dense, callbacks=lambda hp: [noting(noted)])
        spec = make_spec(epochs=5)
        expected, weights = handmade(dense)
        cut = dataclasses.replace(spec, seed=SEED + (not damaged))
        train(trainer, study, cut, tmp_path / "cut", at(3, "stop"), state=state)
        assert epochs_in(state) == 3
        if damaged:
            state.write_bytes(state.read_bytes()[:-4000])
        trained_in(noted)
        again = dataclasses.replace(spec, attempt=2)
        result, epochs = train(trainer, study, again, tmp_path / "on", state=state)
        assert epochs == expected
        check_best(result, expected, weights)
        assert trained_in(noted) == [1, 2, 3, 4, 5] and epochs_in(state) == 4
        (message,) = [text for record in caplog.records if "state" in (text := record.getMessage())]
        assert message.startswith("trial 0: its state can't be used (") and "\n" not in message

    @pytest.mark.parametrize("diverges", exhaustive_but([True], [True, False]))
    def test_a_training_that_fails_late_keeps_its_best_epoch(
        self, trainer: Trainer, tmp_path: Path, diverges: bool
    ) -> None:
        # The error comes after an epoch has been reported. After an earlier error, another trainer
        # would train the trial.
        good = 2 if diverges else 3

        class FailingLate(keras.callbacks.Callback):
            def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
                if epoch == good and not diverges:
                    raise ValueError("no such epoch")
                if epoch == good:
                    bias = self.model.layers[-1].bias
                    bias.assign(bias * float("nan"))

        study = make_study(dense, callbacks=lambda hp: [FailingLate()])
        expected, weights = (epochs[:good] for epochs in handmade(dense))
        spec, state = make_spec(epochs=5), tmp_path / "trial.state"
        straight, epochs = train(trainer, study, spec, tmp_path, state=tmp_path / "straight.state")
        assert (straight.state, straight.epochs) == ("complete", 3)
        assert epochs[:good] == expected
        check_best(straight, expected, weights)
        assert checkpoint_digest(tmp_path / "best.weights.h5") == straight.checkpoint_sha256
        reason = "loss is nan in epoch 3" if diverges else "ValueError: no such epoch"
        assert reason in straight.reason
        train(trainer, study, spec, tmp_path, at(2, "stop"), state=state)
        again = dataclasses.replace(spec, attempt=2)
        resumed, _ = train(trainer, study, again, tmp_path, state=state)
        assert dataclasses.replace(resumed, seconds=straight.seconds) == straight
