"""Builders in the styles of Keras Tuner's guides and of Optuna's Keras examples, as they stand.

Each runs under the engines, leaves a record, and comes to the same when it runs again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from builder_corpus import CORPUS, check_same_again, launch, run, session, without_tracing
from in_mlflow import InMlflow
from suite import exhaustive_but

from search_spaces import EngineError, Float, Int, ObjectiveError
from studies.champion import reproduce
from studies.commands import study_text
from tracking.history import StudyHistory
from tracking.records import TrialRecord

STYLES = sorted(
    path.stem for path in CORPUS.glob("*.py") if path.stem not in ("tiny_data", "ready_hypermodel")
)
OTHER_ORACLES = ["keras-tuner:hyperband", "keras-tuner:bayesian", "keras-tuner:grid"]
# Beside random search, each runs one of the hardest, and what it refuses; a grid runs below. Each
# style is under two of them where all is run.
OTHER_ENGINES = ["optuna:tpe", *OTHER_ORACLES]
HARDEST = [
    ("conditional_scopes", "optuna:tpe"),
    ("fit_tunes_epochs", "keras-tuner:hyperband"),
    ("layers_in_a_loop", "keras-tuner:bayesian"),
]
ROTATED = [
    (style, OTHER_ENGINES[(number + turn) % 4])
    for turn in (0, 1)
    for number, style in enumerate(STYLES)
]
# Others show by one trial, which runs again, what they show; these something by a third one.
OF_THREE = ["optuna_steps", "late_hyperparameters", "failed_trials"]
# Keras saves no class that lacks get_config; what no model was measured by has no weights.
NOT_SAVED = ["subclassed_model", "steps_of_parts", "two_optimizers", "fit_by_folds"]

pytestmark = [
    # Of Keras with numpy 2, of MLflow with SQLAlchemy, and of `without_tracing`.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The ``noload`` loader"),
    pytest.mark.filterwarnings("ignore:.*run_functions_eagerly"),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("builders") / "store"


def random_search(style: str, store: Path) -> StudyHistory:
    """Launches it, or finds it done."""
    with without_tracing():
        return run(style, "keras-tuner:random", store, trials=3 if style in OF_THREE else 1)


def check(style: str, history: StudyHistory) -> TrialRecord:
    """What holds of every style under every engine."""
    assert history.status == "FINISHED"
    assert len(history.trials) == history.description.trials
    for trial in history.trials:
        assert history.description.space.contains(trial.spec.values)
        allowed = ["complete", "infeasible"] if style == "failed_trials" else ["complete"]
        assert trial.result is not None
        assert trial.state in allowed, trial.result.reason
    best = history.best
    assert best is not None
    assert history.is_champion(best) == (style not in NOT_SAVED)
    return best


@pytest.mark.parametrize(
    "style",
    # Others run again below, or train under another engine.
    exhaustive_but(["subclassed_model"], STYLES),
)
def test_random_search_and_its_best_trial_again(style: str, store: Path, tmp_path: Path) -> None:
    history = random_search(style, store)
    with without_tracing():
        check_same_again(style, history, check(style, history), tmp_path)


@pytest.mark.parametrize(
    "style",
    exhaustive_but([], ["custom_metric", "fit_custom_loop", "subclassed_model"]),
)
def test_traced_by_tensorflow(style: str, store: Path, tmp_path: Path) -> None:
    """As all trials are but those of the other tests here; see also those in a new process."""
    history = run(style, "keras-tuner:random", store, trials=1, name=f"{style} traced")
    check_same_again(style, history, check(style, history), tmp_path)


@pytest.mark.parametrize(
    "style, engine", exhaustive_but(HARDEST[:1], dict.fromkeys([*HARDEST, *ROTATED]))
)
def test_other_engines(style: str, engine: str, store: Path) -> None:
    space = session(style).description.space
    with without_tracing():
        if engine == "keras-tuner:grid" and any(each.count is None for each in space):
            with pytest.raises(EngineError, match="continuous"):
                run(style, engine, store, trials=3)
        elif engine == "keras-tuner:hyperband" and "epochs" in space:
            with pytest.raises(EngineError, match="how many epochs"):
                run(style, engine, store, trials=3)
        else:
            epochs = 3 if engine == "keras-tuner:hyperband" else 1
            check(style, run(style, engine, store, trials=3, epochs=epochs))


# What continues another trial is in `test_keras_tuner_hyperband` and in the trainers' conformance.
@pytest.mark.exhaustive
@pytest.mark.parametrize(
    "style", ["plain", "fit_tunes_training", "subclassed_model", "optuna_steps", "two_optimizers"]
)
def test_promoted_by_hyperband(style: str, store: Path, tmp_path: Path) -> None:
    """What goes on from another trial is what training straight through would be."""
    with without_tracing():
        history = run(style, "keras-tuner:hyperband", store, trials=4, name=f"{style} promoted")
        promoted = next(t for t in history.trials if t.spec.goes_on_from is not None)
        assert promoted.result is not None
        assert promoted.result.epochs == history.description.epochs
        check_same_again(style, history, promoted, tmp_path)


@pytest.mark.exhaustive
@pytest.mark.parametrize("style", ["plain", "fit_tunes_training", "optuna_create_model"])
def test_launched_and_reproduced_in_a_new_process(style: str, store: Path) -> None:
    history = launch(CORPUS / f"{style}.py", "keras-tuner:random", store, trials=1)
    again = reproduce(history)
    assert again.identical, again
    assert again.epochs == history.description.epochs


class TestWhatIsTuned:
    def names(self, style: str) -> set[str]:
        return set(session(style).description.space.names)

    def test_a_loop(self) -> None:
        space = session("layers_in_a_loop").description.space
        assert space["units_2"].when == {"num_layers": (3,)}
        assert space["activation"].when == {}
        assert space["rate"].when == {"dropout": (True,)}

    def test_conditional_scopes(self) -> None:
        space = session("conditional_scopes").description.space
        assert {each.name: each.when for each in space if each.when} == {
            "wide_units": {"kind": ("wide",)},
            "depth": {"kind": ("deep",)},
            "deep_units": {"kind": ("deep",)},
            "l2": {"kind": ("linear",)},
        }

    # Those of builders that make no models are in `test_discovery`.
    @pytest.mark.exhaustive
    def test_name_scopes(self) -> None:
        parts = ["units", "normalized", "momentum"]
        assert self.names("name_scopes") == {
            f"{scope}/{part}" for scope in ("encoder", "decoder") for part in parts
        }

    @pytest.mark.exhaustive
    def test_nested_optimizers(self) -> None:
        space = session("nested_optimizers").description.space
        assert space["momentum"].when == {"optimizer": ("sgd",)}
        assert set(space["adaptive_learning_rate"].when["optimizer"]) == {"adam", "rmsprop"}

    def test_not_what_is_not_tunable(self) -> None:
        assert self.names("part_not_tunable") == {"normalized", "head_units", "optimizer"}

    @pytest.mark.exhaustive
    def test_one_name_with_a_range_for_each_optimizer(self, store: Path) -> None:
        space = session("several_domains").description.space
        assert {each.name: each.when for each in space if each.when} == {
            "learning_rate when optimizer is adam": {"optimizer": ("adam",)},
            "learning_rate when optimizer is sgd": {"optimizer": ("sgd",)},
        }
        history = random_search("several_domains", store)
        for trial in history.trials:
            assert trial.spec.values["hidden"] in ("(8,)", "(8, 4)", "[4]")

    def test_what_a_builder_declares_beside_the_space(self) -> None:
        description = session("tuner_space").description
        assert description.space["drop"] == Float("drop", 0.0, 0.2, step=0.1, default=0.0)
        assert description.space["units"] == Int("units", 4, 16, step=4, default=8)
        assert "'drop' besides the study's space" in description.warnings[0]
        assert (description.unread, len(description.warnings)) == ((), 1)

    @pytest.mark.exhaustive
    def test_what_the_builder_never_reads(self, tmp_path: Path) -> None:
        declared = 'space.Fixed("activation", "tanh")'
        file = variant(tmp_path, "tuner_space", declared, f"{declared}\nspace.Boolean('idle')")
        (tmp_path / "tiny_data.py").write_text((CORPUS / "tiny_data.py").read_text())
        with without_tracing():
            history = launch(file, "keras-tuner:random", tmp_path / "store", trials=1)
        in_mlflow = InMlflow(history)
        for trial in history.trials:
            params = in_mlflow.run(trial.uuid).data.params
            assert float(params["drop"]) == trial.spec.values["drop"]
        assert history.description.unread == ("idle",)
        assert in_mlflow.parent.data.tags["kerastudy.unread"] == "idle"
        assert "never read idle" in study_text(history)

    @pytest.mark.exhaustive
    def test_what_fit_declares(self) -> None:
        assert self.names("fit_tunes_training") == {"units", "batch_size", "shuffle"}
        assert self.names("fit_custom_loop") == {"units", "batch_size", "learning_rate"}

    @pytest.mark.exhaustive
    def test_optunas_arguments_of_an_optimizer(self) -> None:
        space = session("optuna_create_model").description.space
        assert space["sgd_momentum"].when == {"optimizer": ("SGD",)}
        assert space["dropout_l2"].when == {"n_layers": (3,)}


class TestFit:
    def test_epochs_are_those_that_it_tunes(self, store: Path) -> None:
        history = random_search("fit_tunes_epochs", store)
        for trial in history.trials:
            assert trial.result is not None
            assert trial.result.epochs == trial.spec.values["epochs"]
            assert len(history.curve(trial)) == trial.spec.values["epochs"]

    @pytest.mark.exhaustive
    def test_a_loop_of_its_own_returns_its_best(self, store: Path) -> None:
        # As `test_traced_by_tensorflow` launched it.
        name = "fit_custom_loop traced"
        history = run("fit_custom_loop", "keras-tuner:random", store, trials=1, name=name)
        for trial in history.trials:
            assert trial.best is not None
            losses = [metrics["my_loss"] for metrics in history.curve(trial).values()]
            assert len(losses) == 3
            assert trial.best.value == min(losses)

    def test_what_it_measures_is_recorded(self, store: Path) -> None:
        history = random_search("fit_returns_dict", store)
        for trial in history.trials:
            assert trial.best is not None
            curve = history.curve(trial)
            assert set(curve) == {1, 2}
            assert "loss" in curve[1] and "typical_error" not in curve[1]
            assert curve[2]["typical_error"] == trial.best.value
            assert curve[2]["worst_error"] >= trial.best.value

    # Of weights, see `test_hypermodel_fits`.
    @pytest.mark.exhaustive
    def test_models_that_it_makes_itself_are_not_taken_for_the_given_one(self, store: Path) -> None:
        history = random_search("fit_by_folds", store)
        for trial in history.trials:
            assert trial.result is not None and trial.best is not None
            assert "other models than the given one" in trial.result.unsaved
            assert (trial.result.weights_sha256, trial.result.checkpoint_sha256) == ("", "")
            assert history.checkpoint(trial) is None
        assert "checkpoint none: the HyperModel's fit trained" in study_text(history)

    @pytest.mark.exhaustive
    def test_a_history_alone_tells_how_it_ended(self, store: Path) -> None:
        history = random_search("fit_returns_history", store)
        for trial in history.trials:
            assert trial.best is not None
            assert set(trial.best.metrics) == {"loss", "val_loss"}

    @pytest.mark.exhaustive
    def test_a_misspelled_objective_is_told_before_anything_is_trained(
        self, tmp_path: Path
    ) -> None:
        file = variant(tmp_path, "fit_returns_dict", '"typical_error", "min"', '"typical", "min"')
        with (
            without_tracing(),
            pytest.raises(ObjectiveError, match=r"'typical'.*'typical_error'"),
        ):
            launch(file, "keras-tuner:random", tmp_path / "store", trials=1)
        assert not (tmp_path / "store").exists()


def variant(folder: Path, style: str, old: str, new: str) -> Path:
    """A copy of a style's file with a part of its text replaced."""
    text = (CORPUS / f"{style}.py").read_text(encoding="utf-8")
    assert text.count(old) == 1
    file = folder / f"{style}.py"
    file.write_text(text.replace(old, new), encoding="utf-8")
    return file


@pytest.mark.exhaustive
def test_what_a_builder_refuses_is_infeasible_with_its_reason(store: Path) -> None:
    with without_tracing():
        history = run("failed_trials", "keras-tuner:grid", store, trials=12, name="refused")
    for trial in history.trials:
        values = trial.spec.values
        assert trial.result is not None
        if values["initializer"] == "none":
            assert "ValueError: there is no such initializer (" in trial.result.reason
        elif trial.state == "infeasible":
            assert "FailedTrialError: Model too large" in trial.result.reason
            assert values["units_0"] > 4
    reasons = {trial.result.reason.split(":")[0] for trial in history.trials if trial.result}
    assert len(reasons) == 3
    assert history.best is not None


class TestShownLate:
    """Hyperparameters in a branch that tracing does not reach."""

    STYLE = "late_in_a_range"

    @pytest.mark.parametrize(
        "engine",
        exhaustive_but(
            [],
            ["keras-tuner:random", "optuna:tpe", *OTHER_ORACLES],
        ),
    )
    def test_joins_from_that_trial_on(self, engine: str, store: Path, tmp_path: Path) -> None:
        assert "dropout" not in session(self.STYLE).description.space
        name = f"late by {engine.replace(':', ' ')}"
        with without_tracing():
            history = run(self.STYLE, engine, store, trials=6, name=name)
            assert "dropout" in history.description.space
            shows = [4 < trial.spec.values["units"] < 32 for trial in history.trials]
            first = history.trial(shows.index(True))
            assert first.result is not None
            assert [each["name"] for each in first.result.joined] == ["dropout"]
            assert first.spec.values["dropout"] == 0.1
            for trial in history.trials[first.number + 1 :]:
                assert trial.result is not None
                assert not trial.result.joined
            check_same_again(self.STYLE, history, first, tmp_path)
            # Stopped when it has shown, and gone on with.
            for trials in (first.number + 1, 6):
                again = run(self.STYLE, engine, store, trials=trials, name=f"{name} bit by bit")
        assert outcome(again) == outcome(history)

    # As that of the style above is.
    @pytest.mark.exhaustive
    def test_is_told_apart_from_what_was_traced(self, store: Path) -> None:
        space = session("late_hyperparameters").description.space
        assert set(space.names) == {"width", "optimizer"}
        history = random_search("late_hyperparameters", store)
        assert {"dropout", "normalized"} <= set(history.description.space.names)

    @pytest.mark.exhaustive
    def test_a_grid_goes_on(self, tmp_path: Path) -> None:
        file = variant(tmp_path, self.STYLE, "0.1, 0.5, step=0.2", "0.1, 0.5")
        with without_tracing():
            history = launch(file, "keras-tuner:grid", tmp_path / "store", trials=3)
        assert history.status == "FINISHED"
        assert history.description.space["dropout"].role == "fixed"


def outcome(history: StudyHistory) -> list[tuple[Any, ...]]:
    return [
        (t.number, t.state, dict(t.spec.values), t.spec.seed, t.result and t.result.weights_sha256)
        for t in history.trials
    ]


@pytest.mark.exhaustive
def test_the_number_of_a_trial_counts_for_its_champion(store: Path) -> None:
    """Builders may make of `trial.number` what they like: each trial's model has one layer more."""
    history = random_search("optuna_steps", store)
    assert history.best is not None and history.best.number > 0
    assert history.is_champion(history.best)


@pytest.mark.exhaustive
def test_a_ready_hypermodel(store: Path) -> None:
    with without_tracing():
        history = launch(CORPUS / "ready_hypermodel.py", "keras-tuner:random", store, trials=1)
    assert history.counts()["complete"] == 1
    assert "num_residual_blocks" in history.description.space
