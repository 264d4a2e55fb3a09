"""Objective functions: what may be returned, raised and reported, their data, and their studies."""

import contextlib
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import optuna
import pytest
from user_commands import as_json, kerastudy_here

import kerastudy as ks
from search_spaces import BuilderError, KerastudyError
from studies.training import TracedObjective, begin_trial, resolve_space, run_objective
from tracking.history import read_study
from tracking.records import Decision, EpochResult, TrialResult, TrialSpec, TrialTask
from tracking.report import StudyData, table_of_trials
from tracking.store import open_store

SPACE = ks.SearchSpace(ks.Float("x", -5.0, 5.0))
X, Y = np.arange(16.0).reshape(8, 2) / 16, np.arange(8.0) / 8
Objective = Callable[[Any], Any]


def small_model() -> keras.Model:
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    return model


def run(
    objective: Objective, folder: Path, decide: Callable[[EpochResult], Decision] | None = None
) -> tuple[TrialResult, list[EpochResult]]:
    study = ks.Study("mine", objective_function=objective, space=SPACE)
    spec = TrialSpec(0, 1, {"x": 2.0}, 7, 1, 32, 1, "", study.objective)
    epochs: list[EpochResult] = []

    def on_epoch(epoch: EpochResult) -> Decision:
        epochs.append(epoch)
        return "continue" if decide is None else decide(epoch)

    task = TrialTask(spec, SPACE, folder / "trial.weights.h5")
    return run_objective(study, task, on_epoch), epochs


@pytest.mark.parametrize("returned", [4.0, np.float32(4.0), np.array(4.0), [4.0]])
def test_a_number_alone_is_the_value(returned: Any, tmp_path: Path) -> None:
    result, epochs = run(lambda trial: returned, tmp_path)
    assert (result.state, result.trainer) == ("complete", "objective")
    assert result.best.value == 4.0
    # There is no training, so there is no epoch.
    assert (epochs, result.epochs, result.epochs_in_all) == ([], 0, 0)
    assert "no Keras model" in result.unsaved


def raising(trial: Any) -> float:
    raise ValueError("too wide")


@pytest.mark.parametrize(
    ("objective", "reason"),
    [
        (lambda trial: math.nan, "returned nan"),
        (lambda trial: math.inf, "returned inf"),
        (lambda trial: None, "returned None, which is no number"),
        (lambda trial: "good", "which is no number"),
        (lambda trial: keras.callbacks.History(), "is no number: return a number from it"),
        (raising, "ValueError: too wide (test_objective_functions.py, line"),
    ],
)
def test_no_finite_number_is_infeasible(objective: Objective, reason: str, tmp_path: Path) -> None:
    result, _ = run(objective, tmp_path)
    assert result.state == "infeasible" and result.best is None
    assert reason in result.reason and (result.raised or objective is not raising)


def test_what_no_hyperparameter_mends_ends_the_study(tmp_path: Path) -> None:
    with pytest.raises(BuilderError, match="Several objectives"):
        run(lambda trial: (0.5, 3), tmp_path)
    with pytest.raises(BuilderError, match="is a builder"):
        run(lambda trial: small_model(), tmp_path)


def test_reports_are_at_their_own_steps_and_pruned_when_asked(tmp_path: Path) -> None:
    def objective(trial: Any) -> float:
        for step in range(5):
            trial.report(float(step), step)
            # The first report of a step counts, as in Optuna.
            trial.report(-1.0, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return 9.0

    result, epochs = run(objective, tmp_path, lambda e: "prune" if e.epoch == 3 else "continue")
    assert (result.state, result.best, result.epochs) == ("pruned", None, 3)
    assert [(e.epoch, e.metrics["value"]) for e in epochs] == [(1, 0.0), (2, 1.0), (3, 2.0)]
    result, epochs = run(objective, tmp_path)
    # The returned value is none of the reported values, so it belongs to no step.
    assert (result.best.value, result.best.epoch, len(epochs)) == (9.0, 0, 5)


@pytest.mark.parametrize("by_callback", [True, False])
@pytest.mark.parametrize("returned", [lambda v: v, lambda v: -v, lambda v: 1 - v])
def test_the_value_belongs_to_the_epoch_that_reported_it(
    by_callback: bool, returned: Any, tmp_path: Path
) -> None:
    """The second of four epochs reports the best value, which is in no logs."""
    scores, weights = [3.0, 0.25, 2.0, 4.0], []

    def objective(trial: Any) -> float:
        model = small_model()

        def ended(epoch: int, logs: Any = None) -> None:
            weights.append(model.get_weights())
            trial.report(scores[epoch], epoch)

        if by_callback:
            callback = keras.callbacks.LambdaCallback(on_epoch_end=ended)
            model.fit(X, Y, epochs=4, callbacks=[callback])
        for epoch in () if by_callback else range(4):
            model.fit(X, Y)
            ended(epoch)
        return returned(min(scores))  # type: ignore[no-any-return]

    result, epochs = run(objective, tmp_path)
    assert (result.best.value, result.best.epoch, result.epochs) == (returned(0.25), 2, 4)
    assert {epoch.epoch for epoch in epochs} == {1, 2, 3, 4}
    again = small_model()
    again.load_weights(tmp_path / "trial.weights.h5")
    assert all(map(np.array_equal, again.get_weights(), weights[1]))


def test_a_stop_ends_it_whatever_it_catches(tmp_path: Path) -> None:
    epochs_begun = 0

    def objective(trial: Any) -> float:
        nonlocal epochs_begun
        for _ in range(3):
            epochs_begun += 1
            with contextlib.suppress(Exception):
                small_model().fit(X, Y, epochs=2, verbose=1)
        return 1.0

    result, epochs = run(objective, tmp_path, lambda epoch: "stop")
    assert result.state == "interrupted" and "begins again" in result.reason
    assert epochs_begun == 1 and len(epochs) == 1


def test_an_error_of_reporting_is_not_the_functions(tmp_path: Path) -> None:
    def objective(trial: Any) -> float:
        try:
            trial.report(1.0, 0)
        finally:
            return 1.0  # noqa: B012 - people write such code

    def gone(epoch: EpochResult) -> Decision:
        raise EOFError

    with pytest.raises(EOFError):
        run(objective, tmp_path, gone)


def test_the_kept_weights_are_those_that_were_evaluated(tmp_path: Path) -> None:
    """The last epoch is the worst here. Its weights are kept, because they have the value."""
    models = []

    def objective(trial: Any) -> float:
        model = small_model()
        rates = iter([0.05, 0.3, 3.0])

        class Faster(keras.callbacks.Callback):  # type: ignore[misc]
            def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
                self.model.optimizer.learning_rate = next(rates)

        model.fit(X, Y, epochs=3, batch_size=4, validation_data=(X, Y), callbacks=[Faster()])
        models.append(model)
        return model.evaluate(X, Y, verbose=0)  # type: ignore[no-any-return]

    result, epochs = run(objective, tmp_path)
    assert result.best.epoch == 3
    losses = [epoch.metrics["val_loss"] for epoch in epochs if "val_loss" in epoch.metrics]
    assert len(losses) == 3 and max(losses) == losses[2]
    again = small_model()
    again.load_weights(tmp_path / "trial.weights.h5")
    assert all(map(np.array_equal, again.get_weights(), models[0].get_weights()))


def test_keras_is_as_before_afterwards(tmp_path: Path) -> None:
    before = keras.Model.fit, keras.Model.evaluate
    run(lambda trial: small_model().fit(X, Y, verbose=0) and 1.0, tmp_path)
    assert (keras.Model.fit, keras.Model.evaluate) == before


def test_its_space_is_found_without_training() -> None:
    trained = []

    def objective(trial: Any) -> float:
        if trial.suggest_categorical("kind", ["a", "b"]) == "b":
            trial.suggest_int("depth", 1, 3)
        model = small_model()
        model.fit(X, Y, epochs=trial.suggest_int("epochs", 5, 9))
        trained.append(model)
        return 0.0

    study = ks.Study("mine", objective_function=objective)
    begin_trial(0)
    traced = TracedObjective("mine", objective)
    space = resolve_space(study, None, traced).study.space
    assert space.names == ("kind", "epochs", "depth")
    assert dict(space["depth"].when) == {"kind": ("b",)}
    assert (traced.epochs, trained) == (7, [])


def test_a_function_that_always_raises_is_not_told_of_a_builder() -> None:
    study = ks.Study("mine", objective_function=lambda trial: 1 / 0)
    with pytest.raises(BuilderError, match="Mend the function, and call it with Hyperparameters"):
        resolve_space(study, None, TracedObjective("mine", study.objective_function))


BUILDER = {"objective_function": None, "build": small_model, "data": ks.datasets.digits()}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"build": small_model}, "so it takes no build"),
        ({"epochs": 3}, "so it takes no epochs. Received: 3"),
        ({"objective": "val_accuracy"}, "direction='maximize' or 'minimize'"),
        ({"engine": "keras-tuner:hyperband"}, "but so does the obj"),
        ({**BUILDER, "data": None}, "has no data"),
        ({**BUILDER, "direction": "maximize"}, "direction is for"),
    ],
)
def test_settings_of_trainings_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(KerastudyError, match=words):
        ks.Study("mine", **{"objective_function": lambda trial: 0.0, **settings})


def test_optunas_default_pruner_and_direction_hold() -> None:
    study = ks.Study("mine", objective_function=lambda trial: 0.0)
    assert (study.pruner, study.objective) == ("median", ks.Objective("value", "min"))
    assert ks.Study("mine", objective_function=min, direction="maximize").with_overrides(
        {"direction": "minimize", "pruner": "none"}
    ).objective == ks.Objective("value", "min")


def test_a_file_of_numbers_is_launched_and_resumed(tmp_path: Path) -> None:
    (tmp_path / "hill.py").write_text(
        "import optuna\n"
        "def objective(trial):\n"
        "    x = trial.suggest_float('x', -4.0, 8.0)\n"
        "    trial.set_user_attr('double', 2 * x)\n"
        "    trial.set_user_attr('by pair', {(0, 1): x > 9})\n"
        "    return (x - 2) ** 2\n"
        "study = optuna.create_study()\n"
        "study.optimize(objective, n_trials=1_000_000_000)\n"
    )
    launch = ["launch", "hill.py", "--executor", "in-process", "--no-report"]
    first = kerastudy_here(tmp_path, *launch, "--trials", "3")
    assert "taken from the script: objective, to minimize, by optuna:tpe" in first.stderr
    document = as_json(kerastudy_here(tmp_path, *launch, "--trials", "5", "--json"))
    assert document["objective_function"] == "objective"
    assert [trial["state"] for trial in document["all"]] == ["complete"] * 5
    for trial in document["all"]:
        assert trial["value"] == (trial["params"]["x"] - 2) ** 2
    # There is no training, so there is no epoch.
    assert "epoch 1" not in first.stdout + first.stderr
    noted = {"double": 2 * document["best"]["params"]["x"], "by pair": "{(0, 1): False}"}
    assert document["best"]["user_attrs"] == noted
    number = document["best"]["trial"]
    recorded = ks.read_study("hill", store=tmp_path / "kerastudy-store")
    row = recorded.to_dataframe().to_dict("records")[number]
    exported = ks.export_optuna(recorded).trials[number]
    for name, value in noted.items():
        assert row[f"user_attrs_{name}"] == exported.user_attrs[name] == value
    assert exported.user_attrs["trial"] == number and not exported.intermediate_values
    # Nobody who trains no Keras model hears of Keras, TensorFlow or epochs.
    shown = [
        kerastudy_here(tmp_path, command, "hill", *options)
        for command, *options in (["show"], ["show", "--trial", "0"], ["diagnose"], ["reproduce"])
    ]
    said = "".join(each.stdout + each.stderr for each in (first, *shown))
    assert not re.search("epoch|TensorFlow|plain Keras", said.replace("trains no Keras model", ""))
    assert "trained    5 of 5 trials by your objective function\n" in shown[0].stdout
    assert "its value" in shown[3].stdout and shown[3].returncode == 0
    other = ("--engine", "optuna:random", "--name", "other")
    kerastudy_here(tmp_path, *launch, "--trials", "2", *other)
    compared = kerastudy_here(tmp_path, "compare", "hill", "other")
    assert ["epoch", "-", "-"] in [line.split() for line in compared.stdout.splitlines()]
    document = as_json(kerastudy_here(tmp_path, "compare", "hill", "other", "--json"))
    assert [study["best"]["epoch"] for study in document["studies"]] == [None, None]
    history = read_study(open_store(tmp_path / "kerastudy-store"), "hill")
    columns, _ = table_of_trials(StudyData(history))
    assert columns[:4] == ["trial", "state", "value", "x"]
    confirm = ["confirm", "hill", "--executor", "in-process", "--top", "2", "--budget", "2"]
    confirmed = " ".join(kerastudy_here(tmp_path, *confirm).stdout.split())
    assert "so no test part is sealed" in confirmed and "--rescore" not in confirmed
