"""Builders in the styles of Keras Tuner's guides, as they stand.

Each runs under an engine, leaves a record, and comes to the same when it runs again.
"""

from pathlib import Path

import pytest
from builder_corpus import check_same_again, run, session, without_tracing

import kerastudy as ks

RUN = [
    ("two_optimizers", "keras-tuner:random"),
    ("conditional_scopes", "optuna:tpe"),
    ("fit_tunes_training", "keras-tuner:random"),
    ("fit_returns_dict", "keras-tuner:random"),
]
pytestmark = [
    # Keras with numpy 2, MLflow with SQLAlchemy, and `without_tracing` cause these warnings.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The ``noload`` loader"),
    pytest.mark.filterwarnings("ignore:.*run_functions_eagerly"),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("builders") / "store"


@pytest.mark.parametrize(("style", "engine"), RUN)
def test_each_runs_and_its_best_trial_runs_again(
    style: str, engine: str, store: Path, tmp_path: Path
) -> None:
    with without_tracing():
        history = run(style, engine, store, trials=1 if engine == "keras-tuner:random" else 3)
        best = history.best
        check_same_again(style, history, best, tmp_path)
    assert history.status == "FINISHED"
    assert len(history.trials) == history.description.trials
    for trial in history.trials:
        assert history.description.space.contains(trial.spec.values)
        assert trial.state == "complete", trial.result.reason
    # Keras saves no class that lacks get_config.
    assert history.is_champion(best) == (style != "two_optimizers")
    curve = history.curve(best)
    if style == "fit_tunes_training":
        names = {"units", "epochs", "batch_size", "shuffle"}
        assert set(history.description.space.names) == names
        assert best.result.epochs == len(curve) == best.spec.values["epochs"]
    elif style == "fit_returns_dict":
        *earlier, last = curve.values()
        assert all("loss" in study and "typical_error" not in study for study in earlier)
        assert last["typical_error"] == best.value <= last["worst_error"]


def test_what_a_builder_declares_beside_the_space() -> None:
    """`test_discovery` judges builders that have no declared space."""
    description = session("declared_space").description
    assert description.space["drop"] == ks.Float("drop", 0.0, 0.2, step=0.1, default=0.0)
    assert description.space["units"] == ks.Int("units", 4, 16, step=4, default=8)
    assert "Trials also vary 'drop', which only the builder declares" in description.warnings[0]
    assert (description.unread, len(description.warnings)) == ((), 1)
