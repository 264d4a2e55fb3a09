"""The scores that trials record: what they change, which epochs, and why there are none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np
import pytest
import streamed
from exact_training import SPACE, samples, spec_of
from model_zoo import compiled, stack

import kerastudy as ks
from studies.training import CompiledTrainer, HyperModelTrainer, run_trial
from tracking.history import best_scores
from tracking.records import EpochResult, Objective, TrialResult, TrialTask
from tracking.scores import read_scores

layers = keras.layers
ACCURACY = Objective("val_accuracy", "max")
SPLITS: Any = samples()
VALIDATION = SPLITS.validation.x, SPLITS.validation.y
# One for all, so that a structure is traced once.
TRAINER = CompiledTrainer()


def build(hp: Any) -> keras.Model:
    """A model with dropout and batch normalization."""
    dense = layers.Dense(8, activation="tanh")
    return compiled(stack(dense, layers.BatchNormalization(), layers.Dropout(0.3)))


class Runner:
    """Runs trials of a builder in a folder."""

    def __init__(self, folder: Path, builder: Any = build) -> None:
        self.folder, self.builder = folder, builder
        self.epochs: list[EpochResult] = []

    def run(
        self, kind: str | None, splits: Any = None, *, stop_after: int = 0, **fields: Any
    ) -> TrialResult:
        """Runs a trial that keeps the scores of its best epoch, of every epoch, or none."""
        self.epochs = []

        def on_epoch(epoch: EpochResult) -> Any:
            self.epochs.append(epoch)
            return "stop" if epoch.epoch == stop_after else "continue"

        spec = spec_of(**{"epochs": 3, "objective": ACCURACY, **fields})
        task = TrialTask(
            spec,
            SPACE,
            self.folder / "trial.weights.h5",
            self.folder / "trial.state.safetensors",
            scores=None if kind is None else self.scores,
            scores_of="every" if kind == "every" else "best",
        )
        data = ks.datasets.arrays(*VALIDATION, test=None)
        study = ks.Study("scored", data=data, build=self.builder, space=SPACE)
        trainer: Any = TRAINER
        if isinstance(self.builder, keras_tuner.HyperModel):
            trainer = HyperModelTrainer(self.builder)
        return run_trial(study, splits or SPLITS, task, on_epoch, trainer)

    @property
    def scores(self) -> Path:
        return self.folder / "trial.scores.safetensors"

    def predicted(self, x: np.ndarray) -> np.ndarray:
        """Returns what the checkpoint predicts, by plain Keras."""
        model = self.builder(None)
        model.load_weights(self.folder / "trial.weights.h5")
        return np.asarray(model.predict(x, batch_size=16, verbose=0))


def test_a_trial_with_scores_has_the_bits_of_one_without(tmp_path: Path) -> None:
    # Each runner runs two trials: the first may leave nothing behind that the second depends on.
    outcomes = []
    for kind in (None, "best"):
        runner = Runner(tmp_path / str(kind))
        results = [runner.run(kind), runner.run(kind, repeat=1)]
        outcomes.append(
            [(r.best, r.weights_sha256, r.checkpoint_sha256, r.trainer, r.epochs) for r in results]
            + [[replace(epoch, seconds=0.0) for epoch in runner.epochs]]
        )
        assert runner.scores.exists() is (kind is not None)
    assert outcomes[0] == outcomes[1]


def test_scores_are_those_of_the_checkpoint(tmp_path: Path) -> None:
    runner = Runner(tmp_path)
    result = runner.run("best", SPLITS)
    assert result.best is not None
    read = read_scores(runner.scores, weights_sha256=result.weights_sha256)
    scores = best_scores(read, result.best.epoch)
    x, y = VALIDATION
    assert np.array_equal(scores.values, runner.predicted(x).argmax(axis=1) == y)
    assert (scores.epoch, scores.metric) == (result.best.epoch, "val_accuracy")
    assert (result.scores_bytes, result.unscored) == (runner.scores.stat().st_size, "")


@pytest.mark.parametrize(
    ("kind", "samples", "scored"), [("every", 60, 5), ("best", 60, 2), ("best", 300, 1)]
)
def test_scores_agree_with_values(kind: str, samples: int, scored: int, tmp_path: Path) -> None:
    """All epochs, the best two where samples are few, or the best one."""
    x, y = (np.repeat(array, 20, axis=0)[:samples] for array in VALIDATION)
    train = SPLITS.train.x, SPLITS.train.y
    splits = ks.datasets.arrays(*train, validation=(x, y), test=None).load()
    runner = Runner(tmp_path)
    runner.run(kind, splits, objective=Objective("val_loss", "min"), epochs=5)
    values = {epoch.epoch: epoch.metrics["val_loss"] for epoch in runner.epochs}
    best = sorted(sorted(values, key=lambda epoch: values[epoch])[:scored])
    read = read_scores(runner.scores)
    assert [scores.epoch for scores in read] == best
    assert [scores.value for scores in read] == pytest.approx([values[e] for e in best], rel=1e-4)


def test_a_resumed_trial_has_the_scores_of_its_best_epoch(tmp_path: Path) -> None:
    runner = Runner(tmp_path)
    whole = runner.run("best", epochs=4)
    expected = read_scores(runner.scores)[0]
    runner.scores.unlink()
    (tmp_path / "trial.state.safetensors").unlink()
    stopped = runner.run("every", epochs=4, stop_after=2)
    assert stopped.state == "interrupted" and not runner.scores.exists()
    resumed = runner.run("every", epochs=4)
    assert runner.epochs[0].epoch == 1 and resumed.weights_sha256 == whole.weights_sha256
    (scores,) = read_scores(runner.scores, weights_sha256=whole.weights_sha256)
    assert np.array_equal(scores.values, expected.values)
    assert resumed.unscored == "not all its epochs are known: it was resumed"


def test_streamed_samples_are_scored_in_the_order_in_which_they_are_read(tmp_path: Path) -> None:
    train, validation = streamed.Batches(streamed.X, streamed.Y), streamed.validation_py_dataset()
    runner = Runner(tmp_path)
    result = runner.run("best", ks.datasets.batches(train, validation).load(), batch_size=8)
    assert result.best is not None
    scores = best_scores(read_scores(runner.scores), result.best.epoch)
    predicted = runner.predicted(validation.x).argmax(1)
    assert np.array_equal(scores.values, predicted == validation.y)
    assert scores.value == pytest.approx(result.best.value)


class Fitting(keras_tuner.HyperModel):  # type: ignore[misc]
    """Fits by itself, and returns a value of the model."""

    def build(self, hp: Any) -> keras.Model:
        return build(hp)

    def fit(self, hp: Any, model: Any, x: Any, y: Any, **keywords: Any) -> Any:
        model.fit(x, y, verbose=0)
        values = model.evaluate(*keywords["validation_data"], verbose=0, return_dict=True)
        return {"val_loss": values["loss"]}


def test_a_hypermodel_s_own_fit_has_scores(tmp_path: Path) -> None:
    runner = Runner(tmp_path, Fitting())
    result = runner.run("best", objective=Objective("val_loss", "min"))
    assert result.state == "complete" and runner.scores.exists() and not result.unscored


def raising(hp: Any) -> keras.Model:
    """A model whose metric needs the graph of a step."""

    def only_in_graphs(y_true: Any, y_pred: Any) -> Any:
        import tensorflow as tf

        if tf.executing_eagerly():
            raise RuntimeError("not like this")
        return keras.ops.mean(y_pred, axis=-1)

    return compiled(stack(), metrics=[only_in_graphs, "accuracy"])


@pytest.mark.parametrize(
    ("builder", "metric", "why"),
    [
        (raising, "val_only_in_graphs", "its samples can't be scored: RuntimeError: not like this"),
        (build, "loss", "loss is no metric of the validation data"),
    ],
)
def test_why_there_are_none_is_told(builder: Any, metric: str, why: str, tmp_path: Path) -> None:
    runner = Runner(tmp_path, builder)
    # Of an earlier attempt.
    runner.scores.write_bytes(b"old")
    result = runner.run("best", objective=Objective(metric, "min"))
    assert result.state == "complete" and result.unscored.startswith(why), result.unscored
    assert result.scores_bytes == 0 and not runner.scores.exists()
