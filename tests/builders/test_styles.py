"""Builders in the styles of Keras Tuner's guides and of Optuna's Keras examples, as they stand.

Each runs under the engines, leaves a record, and comes to the same when it runs again.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from builder_corpus import STYLES as FILE
from builder_corpus import check_same_again, run, session, without_tracing
from in_mlflow import InMlflow
from suite import exhaustive_but
from user_commands import as_json, kerastudy_here

import kerastudy as ks

STYLES = [
    "plain",
    "conditional_scopes",
    "tuner_space",
    "fit_tunes_training",
    "fit_returns_dict",
    "fit_custom_loop",
    "optuna_steps",
    "several_domains",
    "two_optimizers",
]
ENGINES = [
    "keras-tuner:random",
    "optuna:tpe",
    "keras-tuner:hyperband",
    "keras-tuner:bayesian",
    "optuna:grid",
]
# Each style by two engines where all is run.
ROTATED = [
    (style, ENGINES[(number + turn) % 5]) for turn in (0, 1) for number, style in enumerate(STYLES)
]
KEPT = [
    ("two_optimizers", "keras-tuner:random"),
    ("conditional_scopes", "optuna:tpe"),
    ("fit_tunes_training", "keras-tuner:random"),
    ("fit_returns_dict", "keras-tuner:random"),
]

pytestmark = [
    # Of Keras with numpy 2, of MLflow with SQLAlchemy, and of `without_tracing`.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The ``noload`` loader"),
    pytest.mark.filterwarnings("ignore:.*run_functions_eagerly"),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("builders") / "store"


def check(style: str, history: ks.StudyResults) -> ks.Trial:
    """What holds of every style under every engine."""
    assert history.status == "FINISHED"
    assert len(history.trials) == history.description.trials
    for trial in history.trials:
        assert history.description.space.contains(trial.spec.values)
        assert trial.result is not None
        assert trial.state == "complete", trial.result.reason
    best = history.best
    assert best is not None
    # Keras saves no class that lacks get_config.
    assert history.is_champion(best) == (style != "two_optimizers")
    curve = history.curve(best)
    if style == "fit_tunes_training":
        names = {"units", "epochs", "batch_size", "shuffle"}
        assert set(history.description.space.names) == names
        assert best.result.epochs == len(curve) == best.spec.values["epochs"]
    elif style == "fit_returns_dict":
        *earlier, last = curve.values()
        assert all("loss" in each and "typical_error" not in each for each in earlier)
        assert last["typical_error"] == best.value <= last["worst_error"]
    return best


@pytest.mark.parametrize(
    ("style", "engine"), exhaustive_but(KEPT, dict.fromkeys([*KEPT, *ROTATED]))
)
def test_each_runs_and_its_best_trial_runs_again(
    style: str, engine: str, store: Path, tmp_path: Path
) -> None:
    space = session(style).description.space
    trials, epochs = (1, 0) if engine == "keras-tuner:random" else (3, 3 * ("band" in engine) or 1)
    with without_tracing():
        if engine == "optuna:grid" and any(each.count is None for each in space):
            with pytest.raises(ks.errors.EngineError, match="continuous"):
                run(style, engine, store, trials=3)
            return
        history = run(style, engine, store, trials, epochs=epochs)
        check_same_again(style, history, check(style, history), tmp_path)


def launch(style: str, store: Path, file: Path = FILE) -> ks.StudyResults:
    options = ("--executor", "in-process", "--verify", "off", "--trials", "1", "--store", store)
    command = ("launch", f"{file}:{style}", "--engine", "keras-tuner:random", *options)
    kerastudy_here(store.parent, *command)
    return ks.read_study(style.replace("_", " "), store=store)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    "style", ["plain", "fit_custom_loop", "fit_tunes_training", "optuna_steps"]
)
def test_launched_and_reproduced_in_a_new_process(style: str, store: Path) -> None:
    """Traced by TensorFlow, as all trials are but those of the other tests here."""
    history = launch(style, store)
    words = ("reproduce", history.name, "--store", store, "--json")
    again = as_json(kerastudy_here(store.parent, *words))
    assert history.best is not None and history.best.result is not None
    assert again["identical"] and again["epochs"] == history.best.result.epochs
    if style == "fit_custom_loop":
        (trial,) = history.trials
        losses = [metrics["my_loss"] for metrics in history.curve(trial).values()]
        assert trial.best is not None and len(losses) == 3
        assert trial.best.value == min(losses), "it returns its best"


def test_what_a_builder_declares_beside_the_space() -> None:
    """What it declares alone is in `test_discovery`."""
    description = session("tuner_space").description
    assert description.space["drop"] == ks.Float("drop", 0.0, 0.2, step=0.1, default=0.0)
    assert description.space["units"] == ks.Int("units", 4, 16, step=4, default=8)
    assert "Trials also vary 'drop', which only the builder declares" in description.warnings[0]
    assert (description.unread, len(description.warnings)) == ((), 1)


@pytest.mark.exhaustive
def test_what_the_builder_never_reads(tmp_path: Path) -> None:
    fixed = 'declared.Fixed("activation", "tanh")'
    text, file = FILE.read_text(encoding="utf-8"), tmp_path / "styles.py"
    assert text.count(fixed) == 1
    file.write_text(text.replace(fixed, f"{fixed}\ndeclared.Boolean('idle')"), encoding="utf-8")
    with without_tracing():
        history = launch("tuner_space", tmp_path / "store", file)
    in_mlflow = InMlflow(history)
    for trial in history.trials:
        params = in_mlflow.run(trial.uuid).data.params
        assert float(params["drop"]) == pytest.approx(trial.spec.values["drop"], rel=1e-3)
    assert history.description.unread == ("idle",)
    assert in_mlflow.parent.data.tags["kerastudy.unread"] == "idle"
    shown = kerastudy_here(tmp_path, "show", history.name, "--store", tmp_path / "store")
    assert "never read idle" in shown.stdout


@pytest.mark.exhaustive
def test_the_number_of_a_trial_counts_for_its_champion(store: Path) -> None:
    """Builders may make of `trial.number` what they like: each trial's model has one layer more."""
    with without_tracing():
        history = run("optuna_steps", "keras-tuner:random", store, 3, name="numbers")
    assert history.best is not None and history.best.number > 0
    assert history.is_champion(history.best)


@pytest.mark.exhaustive
def test_a_ready_hypermodel(store: Path) -> None:
    with without_tracing():
        history = launch("ready_hypermodel", store)
    assert history.counts()["complete"] == 1
    assert "num_residual_blocks" in history.description.space
