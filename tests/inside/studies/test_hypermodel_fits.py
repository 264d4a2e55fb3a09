"""What a HyperModel's own `fit` returns, and the weights that may be kept for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np
import pytest
from exact_training import SPACE, samples, spec_of
from model_zoo import compiled, stack

import kerastudy as ks
from studies.training import HyperModelTrainer, configure_tensorflow, run_trial
from tracking.records import Decision, EpochResult, TrialTask

Fit = Callable[..., Any]


class Fitting(keras_tuner.HyperModel):  # type: ignore[misc]
    def __init__(self, own_fit: Fit) -> None:
        super().__init__()
        self.own_fit = own_fit

    def build(self, hp: Any) -> keras.Model:
        return compiled(stack(keras.layers.Dense(4)))

    def fit(self, hp: Any, model: Any, x: Any, y: Any, **keywords: Any) -> Any:
        return self.own_fit(model, x, y, keywords["validation_data"], keywords["callbacks"])


def by_folds(model: Any, x: Any, y: Any, validation: Any, callbacks: Any) -> float:
    """On the given model alone, without the callbacks."""
    scores, first = [], model.get_weights()
    for fold in range(2):
        held_out = np.arange(len(x)) % 2 == fold
        model.set_weights(first)
        model.fit(x[~held_out], y[~held_out], verbose=0)
        scores.append(model.evaluate(x[held_out], y[held_out], verbose=0)[0])
    return float(np.mean(scores))


def worst_fold(model: Any, x: Any, y: Any, validation: Any, callbacks: Any) -> float:
    """Of an epoch that was reported, and is not the last one."""
    scores = []
    for rate in (1.0, 0.001):
        model.optimizer.learning_rate = rate
        fitted = model.fit(x, y, verbose=0, validation_data=validation, callbacks=callbacks)
        scores.append(fitted.history["val_loss"][-1])
    return float(max(scores))


def restored(model: Any, x: Any, y: Any, validation: Any, callbacks: Any) -> Any:
    """The history ends with another epoch than the one whose weights are there."""
    stopping = keras.callbacks.EarlyStopping("loss", mode="max", restore_best_weights=True)
    return model.fit(x, y, epochs=3, verbose=0, validation_data=validation, callbacks=[stopping])


def measured(model: Any, x: Any, y: Any, validation: Any, callbacks: Any) -> float:
    model.fit(x, y, epochs=2, verbose=0)
    return float(model.evaluate(*validation, batch_size=5, verbose=0)[0])


def score(model: Any, x: Any, y: Any, validation: Any, callbacks: Any) -> dict[str, float]:
    model.fit(x, y, verbose=0)
    return {"score": 0.5}


def score_of_folds(model: Any, x: Any, y: Any, validation: Any, callbacks: Any) -> dict[str, float]:
    by_folds(model, x, y, validation, callbacks)
    return {"score": 0.5}


def best_epoch(model: Any, x: Any, y: Any, validation: Any, callbacks: Any) -> float:
    fitted = model.fit(x, y, epochs=3, verbose=0, validation_data=validation, callbacks=callbacks)
    return float(min(fitted.history["val_loss"]))


@pytest.mark.parametrize(
    ("own_fit", "metric", "kept"),
    [
        (by_folds, "val_loss", False),
        pytest.param(worst_fold, "val_loss", False, marks=pytest.mark.exhaustive),
        pytest.param(restored, "val_loss", False, marks=pytest.mark.exhaustive),
        pytest.param(score_of_folds, "score", False, marks=pytest.mark.exhaustive),
        (measured, "val_loss", True),
        pytest.param(score, "score", True, marks=pytest.mark.exhaustive),
        (best_epoch, "val_loss", True),
    ],
)
def test_only_weights_that_were_measured_are_kept(
    own_fit: Fit, metric: str, kept: bool, tmp_path: Path
) -> None:
    configure_tensorflow(None)
    build = Fitting(own_fit)
    study = ks.Study("fits", data=samples_of_a_study(), build=build, space=SPACE)
    spec = spec_of(objective=ks.Objective(metric, "min"))
    task = TrialTask(spec, SPACE, tmp_path / "trial.weights.h5")
    result = run_trial(study, samples(), task, lambda epoch: "continue", HyperModelTrainer(build))
    assert result.state == "complete", result.reason
    assert task.checkpoint.exists() == bool(result.weights_sha256) == kept
    assert ("was not measured with the final weights" in result.unsaved) != kept


def test_what_continues_another_trial_is_what_one_fit_would_be(tmp_path: Path) -> None:
    """It is fitted from its first epoch: its own loop can't be entered elsewhere."""
    configure_tensorflow(None)

    def fit(model: Any, x: Any, y: Any, validation: Any, callbacks: Any) -> Any:
        return model.fit(x, y, epochs=2, verbose=0, validation_data=validation, callbacks=callbacks)

    build = Fitting(fit)
    study = ks.Study("fits", data=samples_of_a_study(), build=build, space=SPACE)
    straight, further = spec_of(2), replace(spec_of(2), goes_on_from=0, initial_epoch=1)
    results = []
    for spec, files in ((straight, {}), (further, {"origin": tmp_path / "other.state"})):
        task = TrialTask(spec, SPACE, tmp_path / "trial.weights.h5", **files)
        trainer = HyperModelTrainer(build)
        results.append(run_trial(study, samples(), task, lambda epoch: "continue", trainer))
    assert results[0].weights_sha256 == results[1].weights_sha256 != ""
    assert results[0].best == results[1].best


def test_what_was_stopped_begins_again(tmp_path: Path) -> None:
    """To the same bits; its reason says that the stopped epochs are lost."""
    configure_tensorflow(None)
    build = Fitting(best_epoch)
    study = ks.Study("fits", data=samples_of_a_study(), build=build, space=SPACE)
    results, epochs = [], []

    def on_epoch(epoch: EpochResult) -> Decision:
        epochs.append((len(results), epoch.epoch))
        return "stop" if epochs[-1] == (1, 2) else "continue"

    for attempt in (1, 1, 2):
        spec, state = replace(spec_of(3), attempt=attempt), tmp_path / "trial.state"
        task = TrialTask(spec, SPACE, tmp_path / "trial.weights.h5", state)
        results.append(run_trial(study, samples(), task, on_epoch, HyperModelTrainer(build)))
    whole, stopped, again = results
    assert (stopped.state, stopped.reason) == (
        "interrupted",
        "stopped after epoch 2; it begins again",
    )
    assert [epoch for run, epoch in epochs if run == 2] == [
        epoch for run, epoch in epochs if not run
    ]
    assert (again.best, again.weights_sha256) == (whole.best, whole.weights_sha256)
    assert again.weights_sha256


def samples_of_a_study() -> Any:
    part = samples().validation
    return ks.datasets.arrays(part.x, part.y, test=None)
