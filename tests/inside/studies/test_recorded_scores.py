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
from conformance.models import make_spec, make_study, samples
from conformance.trainer import at, train
from model_zoo import compiled, stack

import kerastudy as ks
from studies.training import CompiledTrainer, HyperModelTrainer
from tracking.history import best_scores
from tracking.records import Objective, TrialResult
from tracking.scores import read_scores

layers = keras.layers
ACCURACY, LOSS = Objective("val_accuracy", "max"), Objective("val_loss", "min")
X, Y = samples(100)
VALIDATION = X[70:], Y[70:]
DATA = ks.datasets.arrays(X[:70], Y[:70], validation=VALIDATION, test=None)
# One for all, so that a structure is traced once.
TRAINER = CompiledTrainer()


def build(hp: Any) -> keras.Model:
    """A model with dropout and batch normalization."""
    dense = layers.Dense(8, activation="tanh")
    return compiled(stack(dense, layers.BatchNormalization(), layers.Dropout(0.3)))


class Runner:
    """Runs trials of a builder in a folder."""

    def __init__(self, folder: Path, builder: Any = build, data: Any = DATA) -> None:
        self.folder = folder
        self.study = replace(make_study(builder), data=data)
        self.state = folder / "trial.state.safetensors"
        self.scores = folder / "trial.scores.safetensors"

    def run(self, kind: str | None, *decide: Any, **fields: Any) -> tuple[TrialResult, list[Any]]:
        """Runs a trial that keeps the scores of its best epoch, of every epoch, or none."""
        spec = replace(make_spec(3), **{"objective": ACCURACY, **fields})
        kinds: dict[str, Any] = {} if kind is None else {"scores": self.scores, "scores_of": kind}
        trainer: Any = TRAINER
        if isinstance(self.study.build, keras_tuner.HyperModel):
            trainer = HyperModelTrainer(self.study.build)
        return train(trainer, self.study, spec, self.folder, *decide, state=self.state, **kinds)


def test_a_trial_with_scores_has_the_bits_of_one_without(tmp_path: Path) -> None:
    # Each runner runs two trials: the first may leave nothing behind that the second depends on.
    outcomes = []
    for kind in (None, "best"):
        runner = Runner(tmp_path / str(kind))
        trials = [runner.run(kind), runner.run(kind, repeat=1)]
        outcomes.append(
            [(r.best, r.weights_sha256, r.checkpoint_sha256, r.trainer, e) for r, e in trials]
        )
        assert runner.scores.exists() is (kind is not None)
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("in_batches", [False, True])
def test_scores_are_those_of_the_checkpoint(in_batches: bool, tmp_path: Path) -> None:
    data, (x, y) = DATA, VALIDATION
    if in_batches:
        x, y = streamed.X_VALIDATION, streamed.Y_VALIDATION
        batches = streamed.Batches(streamed.X, streamed.Y), streamed.validation_py_dataset()
        data = ks.datasets.batches(*batches)
    runner = Runner(tmp_path, data=data)
    result, _ = runner.run("best", batch_size=8)
    assert result.best is not None
    read = read_scores(runner.scores, weights_sha256=result.weights_sha256)
    scores = best_scores(read, result.best.epoch)
    by_hand = build(None)
    by_hand.load_weights(tmp_path / "best.weights.h5")
    assert np.array_equal(scores.values, by_hand.predict(x, verbose=0).argmax(axis=1) == y)
    assert scores.value == pytest.approx(result.best.value)
    assert (scores.epoch, scores.metric) == (result.best.epoch, "val_accuracy")
    assert (result.scores_bytes, result.unscored) == (runner.scores.stat().st_size, "")


@pytest.mark.parametrize(
    ("kind", "samples", "scored"), [("every", 60, 5), ("best", 60, 2), ("best", 300, 1)]
)
def test_scores_agree_with_values(kind: str, samples: int, scored: int, tmp_path: Path) -> None:
    """All epochs, the best two where samples are few, or the best one."""
    validation = tuple(np.repeat(array, 20, axis=0)[:samples] for array in VALIDATION)
    data = ks.datasets.arrays(X[:70], Y[:70], validation=validation, test=None)
    runner = Runner(tmp_path, data=data)
    _, epochs = runner.run(kind, objective=LOSS, epochs=5)
    values = {number: epoch["val_loss"] for number, epoch in enumerate(epochs, 1)}
    best = sorted(sorted(values, key=lambda epoch: values[epoch])[:scored])
    read = read_scores(runner.scores)
    assert [scores.epoch for scores in read] == best
    assert [scores.value for scores in read] == pytest.approx([values[e] for e in best], rel=1e-4)


def test_a_resumed_trial_has_the_scores_of_its_best_epoch(tmp_path: Path) -> None:
    runner = Runner(tmp_path)
    whole, _ = runner.run("best", epochs=4)
    expected = read_scores(runner.scores)[0]
    runner.scores.unlink()
    runner.state.unlink()
    stopped, _ = runner.run("every", at(2, "stop"), epochs=4)
    assert stopped.state == "interrupted" and not runner.scores.exists()
    resumed, epochs = runner.run("every", epochs=4)
    assert len(epochs) == 4 and resumed.weights_sha256 == whole.weights_sha256
    (scores,) = read_scores(runner.scores, weights_sha256=whole.weights_sha256)
    assert np.array_equal(scores.values, expected.values)
    assert resumed.unscored == "not all its epochs are known: it was resumed"


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
    result, _ = runner.run("best", objective=LOSS)
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
    result, _ = runner.run("best", objective=Objective(metric, "min"))
    assert result.state == "complete" and result.unscored.startswith(why), result.unscored
    assert result.scores_bytes == 0 and not runner.scores.exists()
