"""What a HyperModel's own `fit` returns, and the weights that may be kept for it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np
import pytest
from builder_corpus import without_tracing
from conformance.models import make_spec, make_study
from conformance.trainer import at, train
from model_zoo import compiled, stack

from studies.training import HyperModelTrainer, configure_tensorflow
from tracking.records import TrialResult, TrialSpec

Fit = Callable[..., Any]


pytestmark = pytest.mark.filterwarnings("ignore:.*run_functions_eagerly")


@pytest.fixture(autouse=True)
def eagerly() -> Iterator[None]:
    """Each fit trains a few samples: TensorFlow would trace longer than it trains."""
    configure_tensorflow(None)
    with without_tracing():
        yield


class Fitting(keras_tuner.HyperModel):  # type: ignore[misc]
    def __init__(self, own_fit: Fit) -> None:
        super().__init__()
        self.own_fit = own_fit

    def build(self, hp: Any) -> keras.Model:
        return compiled(stack(keras.layers.Dense(4)))

    def fit(self, hp: Any, model: Any, x: Any, y: Any, **keywords: Any) -> Any:
        self.sample_weight = keywords.get("sample_weight")
        return self.own_fit(model, x, y, keywords["validation_data"], keywords["callbacks"])


def by_folds(model: Any, x: Any, y: Any, validation: Any, callbacks: Any) -> float:
    """Trains only the given model, without the callbacks."""
    scores, first = [], model.get_weights()
    for fold in range(2):
        held_out = np.arange(len(x)) % 2 == fold
        model.set_weights(first)
        model.fit(x[~held_out], y[~held_out], verbose=0)
        scores.append(model.evaluate(x[held_out], y[held_out], verbose=0)[0])
    return float(np.mean(scores))


def without_the_objective(model: Any, x: Any, y: Any, validation: Any, callbacks: Any) -> Any:
    """The value is then that of the last epoch, but the weights are those of the first."""

    def spoil(epoch: int, logs: Any) -> None:
        model.set_weights([weights + 9 * epoch for weights in model.get_weights()])

    spoiling = keras.callbacks.LambdaCallback(on_epoch_begin=spoil)
    stopping = keras.callbacks.EarlyStopping("val_loss", restore_best_weights=True)
    added = [*callbacks, spoiling, stopping]
    model.fit(x, y, epochs=2, verbose=0, validation_data=validation, callbacks=added)
    return {"extra": 1.0}


def measured(model: Any, x: Any, y: Any, validation: Any, callbacks: Any) -> float:
    model.fit(x, y, epochs=2, verbose=0)
    return float(model.evaluate(*validation, batch_size=5, verbose=0)[0])


def by_fresh_models(model: Any, x: Any, y: Any, validation: Any, callbacks: Any) -> float:
    fresh = compiled(keras.models.clone_model(model))
    fresh.fit(x, y, verbose=0)
    return float(fresh.evaluate(*validation, verbose=0)[0])


def best_epoch(model: Any, x: Any, y: Any, validation: Any, callbacks: Any) -> float:
    fitted = model.fit(x, y, epochs=3, verbose=0, validation_data=validation, callbacks=callbacks)
    return float(min(fitted.history["val_loss"]))


NOT_MEASURED = "was not measured with the final weights"


@pytest.mark.parametrize(
    ("own_fit", "unsaved"),
    [
        (by_folds, NOT_MEASURED),
        (without_the_objective, NOT_MEASURED),
        (by_fresh_models, "other models than the given model"),
        (measured, ""),
        (best_epoch, ""),
    ],
)
def test_only_weights_that_were_measured_are_kept_and_scored(
    own_fit: Fit, unsaved: str, tmp_path: Path
) -> None:
    scores = tmp_path / "scores.safetensors"
    result, _ = run(own_fit, make_spec(2), tmp_path, scores=scores, scores_of="best")
    assert result.state == "complete", result.reason
    has_checkpoint = (tmp_path / "best.weights.h5").exists()
    assert (
        has_checkpoint
        == bool(result.weights_sha256)
        == bool(result.checkpoint_sha256)
        == (not unsaved)
    )
    assert unsaved in result.unsaved
    assert scores.exists() == (not result.unscored) == (not unsaved)


def run(
    own_fit: Fit, spec: TrialSpec, folder: Path, *decide: Any, **files: Any
) -> tuple[TrialResult, list[Mapping[str, float]]]:
    build = Fitting(own_fit)
    return train(HyperModelTrainer(build), make_study(build), spec, folder, *decide, **files)


def test_it_is_given_the_weights_of_the_samples(tmp_path: Path) -> None:
    """`test_class_weights` judges that a fit without weights is refused."""
    build, spec = Fitting(measured), replace(make_spec(1), class_weight={0: 9.0})
    study = make_study(build)
    train(HyperModelTrainer(build), study, spec, tmp_path)
    weights = np.where(study.data.load().train.y == 0, 9, 1)
    np.testing.assert_array_equal(build.sample_weight, weights)


def test_what_was_stopped_begins_again(tmp_path: Path) -> None:
    """It comes to the same bits. Its reason says that the stopped epochs are lost."""
    spec, state = make_spec(3), tmp_path / "trial.state"
    whole, epochs = run(best_epoch, spec, tmp_path, state=state)
    stopped, _ = run(best_epoch, replace(spec, attempt=2), tmp_path, at(2, "stop"), state=state)
    again, epochs_again = run(best_epoch, replace(spec, attempt=3), tmp_path, state=state)
    assert stopped.state == "interrupted"
    assert stopped.reason == "stopped after epoch 2; it begins again"
    assert epochs_again == epochs
    assert (again.best, again.weights_sha256) == (whole.best, whole.weights_sha256)
    assert again.weights_sha256
