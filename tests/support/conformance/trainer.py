"""What every trainer must do: bit for bit what `model.fit`, written by hand, does."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from suite import exhaustive_but

import kerastudy as ks
from conformance.models import (
    BATCHES,
    MODELS,
    SEED,
    SPACE,
    VALUES,
    by_hand,
    dense,
    epochs_in,
    functional,
    handmade,
    make_spec,
    make_study,
    samples,
    seeing,
    wait_until,
)
from search_spaces import Hyperparameters
from studies.training import Trainer, checkpoints, configure_tensorflow, run_trial, weights_digest
from tracking.records import EpochResult, Objective, Rank, TrialResult, TrialSpec, TrialTask
from tracking.store import checkpoint_digest


class _Training:
    """Trains trials by a trainer that a subclass gives."""

    @pytest.fixture
    def trainer(self) -> Trainer:
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    def deterministic(self) -> None:
        configure_tensorflow(None)

    def train(
        self,
        trainer: Trainer,
        study: ks.Study,
        spec: TrialSpec,
        folder: Path,
        decide: Callable[[EpochResult], Any] = lambda epoch: "continue",
        state: Path | None = None,
        origin: Path | None = None,
        last_kept: Rank | None = None,
    ) -> tuple[TrialResult, list[Mapping[str, float]]]:
        epochs: list[Mapping[str, float]] = []

        def on_epoch(epoch: EpochResult) -> Any:
            epochs.append(epoch.metrics)
            return decide(epoch)

        splits, path = study.data.load(), folder / "best.weights.h5"
        task = TrialTask(spec, SPACE, path, state, origin, last_kept=last_kept)
        return run_trial(study, splits, task, on_epoch, trainer), epochs


class TrainerConformance(_Training):
    """Subclass it, and give `trainer`."""

    @pytest.mark.parametrize(("name", "batch_size"), exhaustive_but(BATCHES[:1], BATCHES))
    def test_trains_as_by_hand(
        self, trainer: Trainer, tmp_path: Path, name: str, batch_size: int
    ) -> None:
        study, spec = make_study(MODELS[name]), make_spec(batch_size=batch_size)
        wanted, weights = handmade(MODELS[name], batch_size)
        result, epochs = self.train(trainer, study, spec, tmp_path)
        assert epochs == wanted
        assert result.best is not None
        best = min(range(spec.epochs), key=lambda e: (wanted[e]["val_loss"], e))
        assert result.best.epoch == best + 1
        model = MODELS[name](Hyperparameters(SPACE, VALUES))
        if not model.built:
            model.build((None, 12))
        model.optimizer.build(model.trainable_variables)
        model.load_weights(tmp_path / "best.weights.h5")
        for loaded, trained in zip(model.get_weights(), weights[best], strict=True):
            np.testing.assert_array_equal(loaded, trained)

    def test_a_tie_goes_to_the_lower_validation_loss(
        self, trainer: Trainer, tmp_path: Path
    ) -> None:
        x, y = samples(40)
        data = ks.datasets.arrays(x, y, validation=6, test=None)
        study = dataclasses.replace(make_study(dense), data=data, objective="val_accuracy")
        spec = dataclasses.replace(make_spec(10, 10), objective=Objective("val_accuracy", "max"))
        wanted, weights = by_hand(dense, data.load(), spec)
        best = 0
        for epoch, metrics in enumerate(wanted):
            if metrics["val_accuracy"] > wanted[best]["val_accuracy"] or (
                metrics["val_accuracy"] == wanted[best]["val_accuracy"]
                and metrics["val_loss"] < wanted[best]["val_loss"]
            ):
                best = epoch
        assert best != int(np.argmax([m["val_accuracy"] for m in wanted])), "it is not the first"
        result, epochs = self.train(trainer, study, spec, tmp_path)
        assert epochs == wanted and result.best is not None
        assert result.best.epoch == best + 1
        model = dense(Hyperparameters(SPACE, VALUES))
        model.optimizer.build(model.trainable_variables)
        model.load_weights(tmp_path / "best.weights.h5")
        for loaded, trained in zip(model.get_weights(), weights[best], strict=True):
            np.testing.assert_array_equal(loaded, trained)

    @pytest.mark.parametrize("name", exhaustive_but(["dense"], MODELS))
    @pytest.mark.parametrize("first", [2])
    def test_goes_on_from_another_as_if_trained_straight_through(
        self, trainer: Trainer, tmp_path: Path, name: str, first: int
    ) -> None:
        begun: list[int] = []
        study = make_study(MODELS[name], callbacks=lambda hp: [seeing(begun)])
        spec = make_spec(epochs=5)
        wanted, epochs = self.train(trainer, study, spec, tmp_path / "straight")
        origin = tmp_path / "first.state"
        self.train(trainer, study, make_spec(epochs=first), tmp_path / "first", state=origin)
        begun.clear()
        going_on = dataclasses.replace(spec, goes_on_from=0, initial_epoch=first)
        folder = tmp_path / "on"
        result, further = self.train(trainer, study, going_on, folder, origin=origin)
        assert further == epochs[first:], "those of before were told before"
        assert begun == list(range(first, 5)), "and are not trained again"
        assert (result.best, result.weights_sha256) == (wanted.best, wanted.weights_sha256)
        assert result.epochs == 5

    @pytest.mark.parametrize("cut", exhaustive_but([3], [1, 3, 4]))
    def test_cut_after_any_epoch_it_goes_on_with_its_callbacks(
        self, trainer: Trainer, tmp_path: Path, cut: int
    ) -> None:
        """Patience counters, best values and a reduced learning rate included."""

        def callbacks(hp: Hyperparameters) -> list[keras.callbacks.Callback]:
            return [
                keras.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=0.1),
                keras.callbacks.EarlyStopping("loss", patience=4, min_delta=0.2),
                seeing(begun),
            ]

        begun: list[int] = []
        study, spec = make_study(dense, callbacks=callbacks), make_spec(epochs=9)
        wanted, epochs = self.train(trainer, study, spec, tmp_path / "straight")
        assert wanted.epochs < 9, "EarlyStopping ends it"
        state, folder = tmp_path / "trial.state", tmp_path / "cut"
        stopped, _ = self.train(
            trainer,
            study,
            spec,
            folder,
            lambda epoch: "stop" if epoch.epoch == cut else "continue",
            state=state,
        )
        assert (stopped.state, stopped.epochs) == ("interrupted", cut)
        begun.clear()
        again = dataclasses.replace(spec, attempt=2)
        result, all_epochs = self.train(trainer, study, again, folder, state=state)
        assert all_epochs == epochs, "all are told again: the attempt is a run of its own"
        assert begun == list(range(cut, wanted.epochs)), "and not trained again"
        assert (result.state, result.epochs) == ("complete", wanted.epochs)
        assert (result.best, result.weights_sha256) == (wanted.best, wanted.weights_sha256)

    @pytest.mark.parametrize("decision, state", [("prune", "pruned"), ("stop", "interrupted")])
    def test_stops_when_told(
        self, trainer: Trainer, tmp_path: Path, decision: str, state: str
    ) -> None:
        ended: list[str] = []

        def callbacks(hp: Hyperparameters) -> list[keras.callbacks.Callback]:
            return [keras.callbacks.LambdaCallback(on_train_end=lambda logs: ended.append("yes"))]

        study = make_study(dense, callbacks=callbacks)
        metrics, weights = handmade(dense)
        # So that the best epoch is not the last one.
        falls = metrics[1]["loss"] < metrics[0]["loss"]
        objective = Objective("loss", "max" if falls else "min")
        spec = dataclasses.replace(make_spec(epochs=9), objective=objective)
        result, epochs = self.train(
            trainer,
            study,
            spec,
            tmp_path,
            lambda epoch: decision if epoch.epoch == 2 else "continue",
        )
        assert (result.state, result.epochs, len(epochs)) == (state, 2, 2)
        assert result.best is not None and result.best.epoch == 1
        assert ended == ["yes"], "callbacks see the end of a training that is cut short"
        path = tmp_path / "best.weights.h5"
        if state == "interrupted":
            assert (path.exists(), result.checkpoint_sha256) == (False, "")
            return
        assert checkpoint_digest(path) == result.checkpoint_sha256
        assert weights_digest(weights[0]) == result.weights_sha256
        model = dense(Hyperparameters(SPACE, VALUES))
        model.optimizer.build(model.trainable_variables)
        model.load_weights(path)
        for loaded, trained in zip(model.get_weights(), weights[0], strict=True):
            np.testing.assert_array_equal(loaded, trained)

    def test_callbacks_that_watch_batches_see_each(self, trainer: Trainer, tmp_path: Path) -> None:
        seen: list[int] = []

        def callbacks(hp: Hyperparameters) -> list[keras.callbacks.Callback]:
            return [
                keras.callbacks.LambdaCallback(on_train_batch_end=lambda b, logs: seen.append(b))
            ]

        study = make_study(dense, count=400, callbacks=callbacks)
        self.train(trainer, study, make_spec(epochs=3, batch_size=8), tmp_path)
        assert len(seen) == 3 * -(-370 // 8)


class RepeatingConformance(_Training):
    """Subclass it, and give `trainer`: one that uses what it traced again, of any kind and size."""

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
        others = [dataclasses.replace(spec, seed=seed) for seed in (SEED + 1, SEED + 2, SEED + 1)]
        runs = [self.train(trainer, study, each, tmp_path)[1] for each in (spec, *others, spec)]
        assert runs[0] == runs[4] != runs[1] == runs[3] != runs[2]

    @pytest.mark.exhaustive
    def test_long_trainings_on_wide_floats_train_as_by_hand(
        self, trainer: Trainer, tmp_path: Path
    ) -> None:
        """Many steps: where a trainer may run several per call. Floats of any width."""
        study = make_study(dense, count=400, dtype="float64")
        wanted, _ = handmade(dense, 8, 2, 400, dtype="float64")
        spec = make_spec(epochs=2, batch_size=8)
        assert self.train(trainer, study, spec, tmp_path)[1] == wanted

    @pytest.mark.exhaustive
    def test_the_test_part_changes_nothing(self, trainer: Trainer, tmp_path: Path) -> None:
        """The seal: other test data, the same training bit for bit."""
        x, y = samples(120)
        outcomes = []
        for test in ((x[100:], y[100:]), (x[100:] * 100, (y[100:] + 1) % 3)):
            data = ks.datasets.arrays(x[:100], y[:100], validation=30, test=test)
            study = ks.Study("sealed", data=data, build=dense, space=SPACE)
            result, epochs = self.train(trainer, study, make_spec(), tmp_path)
            outcomes.append((result.weights_sha256, epochs))
        assert outcomes[0] == outcomes[1]


class ResumingConformance(_Training):
    """Subclass it, and give `trainer`: what becomes of a trial that is cut, around any trainer."""

    @pytest.mark.exhaustive
    def test_cut_when_all_was_trained_it_is_what_it_was(
        self, trainer: Trainer, tmp_path: Path
    ) -> None:
        """In a process that has trained nothing yet, or another model since."""
        study, spec, state = make_study(dense), make_spec(), tmp_path / "trial.state"
        wanted, epochs = self.train(trainer, study, spec, tmp_path, state=state)
        digest = checkpoint_digest(tmp_path / "best.weights.h5")
        for other in (type(trainer)(), trainer):
            if other is trainer:
                self.train(trainer, make_study(functional), spec, tmp_path / "other")
            again = dataclasses.replace(spec, attempt=2)
            result, all_epochs = self.train(other, study, again, tmp_path / "again", state=state)
            assert all_epochs == epochs
            assert dataclasses.replace(result, seconds=wanted.seconds) == wanted
            assert checkpoint_digest(tmp_path / "again" / "best.weights.h5") == digest
        assert wanted.best is not None
        rank = wanted.best.rank(spec.objective, spec.number)
        for last_kept, stays in ((rank, False), (rank._replace(number=spec.number + 1), True)):
            path = tmp_path / f"stays {stays}" / "best.weights.h5"
            result, _ = self.train(
                trainer, study, again, path.parent, state=state, last_kept=last_kept
            )
            assert path.exists() == bool(result.checkpoint_sha256) == stays
            assert result.weights_sha256 == wanted.weights_sha256

    @pytest.mark.parametrize(
        "again_from, wanted", exhaustive_but([(1, 3)], [(1, 3), (3, 3), (4, 4)])
    )
    def test_a_pruner_that_knows_more_by_now_prunes_no_earlier_than_it_was_cut(
        self, trainer: Trainer, tmp_path: Path, again_from: int, wanted: int
    ) -> None:
        """What is recorded is what comes out if it is trained up to there."""
        study, spec, state = make_study(dense), make_spec(epochs=9), tmp_path / "trial.state"
        pruned, _ = self.train(
            trainer,
            study,
            spec,
            tmp_path / "straight",
            lambda epoch: "prune" if epoch.epoch == wanted else "continue",
        )
        self.train(
            trainer,
            study,
            spec,
            tmp_path / "cut",
            lambda epoch: "stop" if epoch.epoch == 3 else "continue",
            state=state,
        )
        result, _ = self.train(
            trainer,
            study,
            dataclasses.replace(spec, attempt=2),
            tmp_path / "cut",
            lambda epoch: "prune" if epoch.epoch >= again_from else "continue",
            state=state,
        )
        assert (result.state, result.epochs, result.best, result.weights_sha256) == (
            "pruned",
            wanted,
            pruned.best,
            pruned.weights_sha256,
        )

    @pytest.mark.parametrize("damage", exhaustive_but(["cut"], ["cut", "gone", "another's"]))
    def test_a_damaged_state_is_noticed_and_trained_again(
        self, trainer: Trainer, tmp_path: Path, damage: str
    ) -> None:
        study, spec = make_study(dense), make_spec(epochs=3)
        wanted, epochs = self.train(trainer, study, spec, tmp_path / "straight")
        state = tmp_path / "trial.state"
        other = dataclasses.replace(make_spec(epochs=2), seed=SEED + (damage == "another's"))
        self.train(trainer, study, other, tmp_path / "first", state=state)
        if damage == "cut":
            state.write_bytes(state.read_bytes()[:-4000])
        elif damage == "gone":
            state.unlink()
        again = dataclasses.replace(spec, attempt=2)
        result, further = self.train(trainer, study, again, tmp_path / "on", state=state)
        assert further == epochs
        assert result.weights_sha256 == wanted.weights_sha256

    @pytest.mark.parametrize(
        "damaged",
        [("newest",), ("newest", "before"), ("no newest",)],
    )
    def test_a_damaged_state_has_the_one_before_used(
        self,
        trainer: Trainer,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        damaged: tuple[str, ...],
    ) -> None:
        """A kill between two renames leaves no newest one: there is nothing to tell of it."""
        # Each epoch has its state, however short it is.
        monkeypatch.setattr(checkpoints, "_SHARE", math.inf)
        begun: list[int] = []
        study = make_study(dense, callbacks=lambda hp: [seeing(begun)])
        spec = make_spec(epochs=5)
        wanted, epochs = self.train(trainer, study, spec, tmp_path / "straight")
        newest, before = tmp_path / "trial.state", tmp_path / "trial.state.before"

        def decide(epoch: EpochResult) -> str:
            # The state of each epoch but this one is written.
            wait_until(lambda: epoch.epoch == 1 or epochs_in(newest) == epoch.epoch - 1)
            return "stop" if epoch.epoch == 3 else "continue"

        self.train(trainer, study, spec, tmp_path / "cut", decide, state=newest)
        assert (epochs_in(newest), epochs_in(before)) == (3, 2)
        if "no newest" in damaged:
            newest.unlink()
        for path in (newest, before)[: len(damaged) if newest.exists() else 0]:
            path.write_bytes(path.read_bytes()[:-4000])
        begun.clear()
        again = dataclasses.replace(spec, attempt=2)
        result, further = self.train(trainer, study, again, tmp_path / "on", state=newest)
        assert further == epochs
        assert result.weights_sha256 == wanted.weights_sha256
        assert begun == ([0, 1, 2, 3, 4] if "before" in damaged else [2, 3, 4])
        told = [record.getMessage() for record in caplog.records if "state" in record.getMessage()]
        if "no newest" in damaged:
            assert told == []
            return
        (line,) = told
        how = "is trained from its first epoch" if "before" in damaged else "after epoch 2"
        assert line.startswith("trial 0: its newest state can't be used") and line.endswith(how)
        assert str(newest) in line and "\n" not in line
        # What was damaged is in nobody's way.
        assert epochs_in(newest) == 5
        assert epochs_in(before) or not before.exists()

    @pytest.mark.parametrize("diverges", exhaustive_but([True], [True, False]))
    def test_a_training_that_fails_late_keeps_its_best_epoch(
        self, trainer: Trainer, tmp_path: Path, diverges: bool
    ) -> None:
        # An error is raised in an epoch after the one with which the training goes on: before that
        # one is reported, another trainer tries it.
        good = 2 if diverges else 3

        class FailingLate(keras.callbacks.Callback):
            def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
                if epoch == good and not diverges:
                    raise ValueError("no such epoch")
                if epoch == good:
                    bias = self.model.layers[-1].bias
                    bias.assign(bias * float("nan"))

        study = make_study(dense, callbacks=lambda hp: [FailingLate()])
        wanted, weights = (epochs[:good] for epochs in handmade(dense))
        best = min(range(good), key=lambda e: (wanted[e]["val_loss"], e))
        spec, state = make_spec(epochs=5), tmp_path / "trial.state"
        straight, epochs = self.train(trainer, study, spec, tmp_path)
        assert (straight.state, straight.epochs) == ("complete", 3)
        assert epochs[:good] == wanted
        assert straight.best is not None and straight.best.epoch == best + 1
        assert straight.best.value == wanted[best]["val_loss"]
        assert straight.weights_sha256 == weights_digest(weights[best])
        assert checkpoint_digest(tmp_path / "best.weights.h5") == straight.checkpoint_sha256
        reason = "loss is nan in epoch 3" if diverges else "ValueError: no such epoch"
        assert reason in straight.reason

        def stop(epoch: EpochResult) -> str:
            return "stop" if epoch.epoch == 2 else "continue"

        self.train(trainer, study, spec, tmp_path, stop, state=state)
        again = dataclasses.replace(spec, attempt=2)
        resumed, _ = self.train(trainer, study, again, tmp_path, state=state)
        assert dataclasses.replace(resumed, seconds=straight.seconds) == straight
