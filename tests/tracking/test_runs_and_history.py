"""What is recorded of a study is read back as it was."""

from __future__ import annotations

import dataclasses
import getpass
import hashlib
import math
import shlex

import pytest
from handmade import (
    ENVIRONMENT,
    VALUES,
    losses,
    make_result,
    make_spec,
    record_trial,
)
from mlflow.entities import Run
from scripted import SPACE, describe

import kerastudy as ks
from search_spaces import SearchSpace, StudyNotFoundError
from tracking import tags
from tracking.history import StudyHistory, read_source, read_study
from tracking.records import (
    BestEpoch,
    CodeDescription,
    DataDescription,
    Objective,
    Proposal,
    TrialResult,
)
from tracking.runs import StudyRuns
from tracking.store import Store

CURVE = losses(0.5, 0.25, 0.75)
STATES = {0: "complete", 1: "pruned", 2: "infeasible", 3: "interrupted", 4: "running"}
STATUSES = {0: "FINISHED", 1: "FINISHED", 2: "FAILED", 3: "KILLED", 4: "RUNNING"}
DATA = DataDescription(
    "꽃 irises",
    "a file of mine",
    "d" * 64,
    {"train": "1" * 64, "validation": "2" * 64, "test": "3" * 64},
    {"train": 90, "validation": 30, "test": 30},
    {"classes": 3, "shapes": {"train": {"x": [90, 4]}}},
)
SOURCE = "print('안녕')\n"
DIGEST = hashlib.sha256(SOURCE.encode()).hexdigest()
CODE = CodeDescription("/home/me/내 연구.py", "study", SOURCE, DIGEST)


def create(store: Store, name: str, **settings: object) -> StudyRuns:
    return StudyRuns.create(store, describe(name=name, **settings), ENVIRONMENT)


def run_of(history: StudyHistory, number: int) -> Run:
    return history.store.client.get_run(history.trial(number).run_id)


@pytest.fixture(scope="module")
def history(shared_store: Store) -> StudyHistory:
    """A study with a trial of each state."""
    runs = create(shared_store, "one of each", data=DATA, code=CODE, notes="A note.")
    for number, state in STATES.items():
        engine_state = {"sampler": f"state {number}", "empty": ""}
        record_trial(runs, make_spec(number), CURVE, state, engine_state)  # type: ignore[arg-type]
    return read_study(shared_store, "one of each")


def test_the_definition_is_read_back(history: StudyHistory) -> None:
    written = describe(name="one of each", data=DATA, code=CODE, notes="A note.")
    kept = dataclasses.replace(written, code=dataclasses.replace(CODE, source=""))
    assert history.description == kept
    assert history.description.space.digest == SPACE.digest
    assert read_source(history, CODE.digest) == CODE.source
    assert read_source(history, "e" * 64) == ""


@pytest.mark.parametrize("number", STATES)
def test_a_trial_is_read_back(history: StudyHistory, number: int) -> None:
    trial = history.trial(number)
    assert trial.spec == make_spec(number)
    assert trial.state == STATES[number]
    assert trial.environment == ENVIRONMENT
    assert trial.code_digest == CODE.digest
    assert trial.engine_state == {"sampler": f"state {number}", "empty": ""}
    if trial.state == "running":
        assert trial.result is None
    else:
        assert trial.result == make_result(trial.spec, CURVE, trial.state)


@pytest.mark.parametrize("number", STATES)
def test_a_runs_status_says_how_it_ended(history: StudyHistory, number: int) -> None:
    assert run_of(history, number).info.status == STATUSES[number]


def test_counts_are_by_state(history: StudyHistory) -> None:
    expected = dict.fromkeys(("complete", "pruned", "infeasible", "interrupted", "running"), 1)
    assert history.counts() == {**expected, "total": 5}


def test_the_reason_is_in_the_record_and_on_the_page(history: StudyHistory) -> None:
    found = run_of(history, 2).data.tags
    assert found["kerastudy.reason"] == "it was infeasible, by decree"
    assert "Infeasible" in found["mlflow.note.content"]
    assert "by decree" in found["mlflow.note.content"]


def test_every_hyperparameter_is_a_param(history: StudyHistory) -> None:
    params = run_of(history, 0).data.params
    spelled = {"rate": "0.001", "units": "8", "kind": "b", "momentum": "0.5"}
    assert params == {**spelled, "epochs": "3", "batch_size": "32", "trial": "0"}


def test_inactive_hyperparameters_are_no_params(shared_store: Store) -> None:
    runs = create(shared_store, "inactive")
    values = {"rate": 0.1, "units": 4, "kind": "a"}
    record_trial(runs, make_spec(values=values), CURVE)
    history = read_study(shared_store, "inactive")
    assert "momentum" not in run_of(history, 0).data.params
    assert history.trial(0).spec.values == values


def test_every_metric_of_every_epoch_is_logged(history: StudyHistory) -> None:
    assert history.curve(history.trial(0)) == dict(enumerate(CURVE, start=1))


def test_the_best_epoch_has_metrics_of_its_own(history: StudyHistory) -> None:
    metrics = run_of(history, 0).data.metrics
    assert metrics["best_val_loss"] == 0.25
    assert run_of(history, 0).data.tags["kerastudy.best_epoch"] == "2"


def test_single_numbers_are_on_the_page_of_system_metrics(history: StudyHistory) -> None:
    """As a bar each, they would stand among a trial's curves."""
    metrics = run_of(history, 0).data.metrics
    assert metrics["system/seconds"] == 1.5
    assert metrics["system/model_parameters"] == 99
    among_curves = {name for name in metrics if not name.startswith("system/")}
    assert among_curves == {"loss", "val_loss", "best_val_loss"}


def test_an_infeasible_trial_has_no_best(history: StudyHistory) -> None:
    assert not [name for name in run_of(history, 2).data.metrics if name.startswith("best")]


def test_tags_say_what_the_run_is(history: StudyHistory) -> None:
    found = run_of(history, 1).data.tags
    assert found["mlflow.parentRunId"] == history.parent_run_id
    assert found["kerastudy.trial"] == "1"
    assert found["kerastudy.state"] == "pruned"
    assert found["kerastudy.engine"] == "optuna:tpe"
    assert found["mlflow.user"] == getpass.getuser()
    assert found.get(tags.SPACE_DIGEST) == SPACE.digest
    assert found.get(tags.CODE_DIGEST) == CODE.digest
    # The others, which only kerastudy reads, are hidden by MLflow's UI.
    assert sum(not name.startswith("mlflow.") for name in found) < 10
    parent = history.store.client.get_run(history.parent_run_id)
    assert "mlflow.parentRunId" not in parent.data.tags
    assert parent.data.params["objective"] == "min val_loss"


def test_a_run_is_called_by_its_result(history: StudyHistory) -> None:
    names = [run_of(history, number).info.run_name for number in STATES]
    assert names == [
        "#0 · val_loss 0.25 @ epoch 2",
        "#1 · pruned at epoch 3",
        "#2 · infeasible",
        "#3 · interrupted",
        "#4 · running",
    ]


def test_a_run_says_how_to_reproduce_its_trial(history: StudyHistory) -> None:
    note = run_of(history, 1).data.tags["mlflow.note.content"]
    assert "val_loss 0.25 at epoch 2" in note
    assert "momentum = 0.5" in note and "seed 18" in note
    (command,) = [line.strip() for line in note.splitlines() if "kerastudy" in line]
    words = shlex.split(command)
    assert words[:5] == ["kerastudy", "reproduce", "one of each", "--trial", "1"]
    assert words[words.index("--store") + 1] == str(history.store.root)


def test_the_data_set_is_among_the_inputs(history: StudyHistory) -> None:
    parent = history.store.client.get_run(history.parent_run_id)
    for run in (parent, run_of(history, 0)):
        inputs = run.inputs.dataset_inputs
        assert {i.dataset.name for i in inputs} == {DATA.name}
        context = {i.tags[0].value: i.dataset for i in inputs}
        assert DATA.digests["train"].startswith(context["training"].digest)
        assert DATA.digests["validation"].startswith(context["validation"].digest)
        assert "a file of mine" in context["training"].source


def test_a_number_that_is_not_finite_is_not_logged(shared_store: Store) -> None:
    """MLflow makes 1.8e308 of an infinity, which then wins every sort."""
    runs = create(shared_store, "not finite")
    curve = [
        {"val_loss": 0.5, "loss": math.nan, "up": math.inf},
        {"val_loss": math.inf, "loss": 0.25, "up": -math.inf},
        {"val_loss": math.nan, "loss": 0.125, "up": 1.0},
    ]
    record_trial(runs, make_spec(), curve)
    history = read_study(shared_store, "not finite")
    trial = history.trial(0)
    assert history.curve(trial) == {
        1: {"val_loss": 0.5},
        2: {"loss": 0.25},
        3: {"loss": 0.125, "up": 1.0},
    }
    assert trial.best is not None
    assert (trial.best.epoch, trial.best.value) == (1, 0.5)
    assert math.isnan(trial.best.metrics["loss"])
    assert trial.best.metrics["up"] == math.inf


def test_numbers_come_back_to_the_last_bit(shared_store: Store) -> None:
    runs = create(shared_store, "exact")
    numbers = (0.1 + 0.2, 1 / 3, 5e-324, 1.7976931348623157e308, -0.1, 2.0**-149)
    record_trial(runs, make_spec(values={**VALUES, "rate": 0.1 / 3}), losses(*numbers))
    history = read_study(shared_store, "exact")
    trial = history.trial(0)
    assert [m["val_loss"] for m in history.curve(trial).values()] == list(numbers)
    assert trial.spec.values["rate"] == 0.1 / 3
    assert trial.best is not None
    assert trial.best.value == -0.1


@pytest.mark.parametrize(
    "metric", ["recall@5", "f1=micro", "정확도", "precision (macro)", "top-5", "f1|b", "seconds"]
)
def test_a_metric_by_any_name_is_recorded(shared_store: Store, metric: str) -> None:
    """Keras lets metrics have any name, and MLflow does not."""
    runs = create(shared_store, f"a metric {metric.encode().hex()}")
    curve = [{"val_loss": 0.5, metric: 0.75}, {"val_loss": 0.25, metric: 0.875}]
    record_trial(runs, make_spec(), curve)
    history = read_study(shared_store, runs.description.name)
    assert history.curve(history.trial(0)) == dict(enumerate(curve, start=1))
    assert history.trial(0).result == make_result(make_spec(), curve)


@pytest.mark.parametrize("metric", ["val_recall@5", "val_정확도"])
def test_an_objective_by_any_name_is_recorded(shared_store: Store, metric: str) -> None:
    objective = Objective(metric, "max")
    runs = create(shared_store, f"objective {metric.encode().hex()}", objective=objective)
    spec = make_spec(objective=objective)
    record_trial(runs, spec, [{metric: 0.5}, {metric: 0.75}])
    runs.log_best_so_far(1, 0.75)
    best = read_study(shared_store, runs.description.name).best
    assert best is not None
    assert best.best == BestEpoch(2, 0.75, {metric: 0.75})


@pytest.mark.parametrize("name", ["l2 (dense)", "kind|of", "학습률", "a@b", "tuner/units", "x,y"])
def test_a_hyperparameter_by_any_name_is_recorded(shared_store: Store, name: str) -> None:
    """What a search space may hold, a record can hold."""
    space = SearchSpace(ks.Float(name, 0.0, 1.0))
    runs = create(shared_store, f"a parameter {name.encode().hex()}", space=space)
    record_trial(runs, make_spec(values={name: 0.25}), CURVE)
    history = read_study(shared_store, runs.description.name)
    assert history.trial(0).spec.values == {name: 0.25}
    assert "0.25" in run_of(history, 0).data.params.values()


def test_a_large_space_survives(shared_store: Store) -> None:
    """MLflow cuts tags at 8,000 characters, and takes 100 params at a time."""
    space = SearchSpace([ks.Float(f"a parameter with number {i:03}", 0.0, 1.0) for i in range(200)])
    values = {name: 1 / (3 + i) for i, name in enumerate(space.names)}
    spec = make_spec(values=values)
    assert len(spec.to_json()) > 8000
    runs = create(shared_store, "large", space=space)
    record_trial(runs, spec, CURVE)
    history = read_study(shared_store, "large")
    assert history.description.space == space
    assert history.trial(0).spec == spec
    assert len(run_of(history, 0).data.params) == 203


@pytest.mark.parametrize("length", [7999, 8000, 8001, 20_000])
@pytest.mark.parametrize("letter", ["x", "한"])
def test_long_texts_survive(shared_store: Store, length: int, letter: str) -> None:
    runs = create(shared_store, f"long {letter} {length}")
    proposal = Proposal(0, VALUES, {"sampler": letter * length})
    run_id = runs.begin_trial(make_spec(), proposal, {"device": letter * length})
    result = TrialResult(0, "infeasible", reason=letter * length)
    runs.finish_trial(run_id, result)
    trial = read_study(shared_store, runs.description.name).trial(0)
    assert trial.result == result
    assert trial.environment == {"device": letter * length}
    assert trial.engine_state == {"sampler": letter * length}


def test_many_metrics_and_epochs_survive(shared_store: Store) -> None:
    """MLflow takes 1,000 metrics at a time."""
    runs = create(shared_store, "many")
    curve = [{f"metric {i}": i + epoch / 7 for i in range(60)} for epoch in range(50)]
    curve = [{**metrics, "val_loss": 1 / (epoch + 1)} for epoch, metrics in enumerate(curve)]
    record_trial(runs, make_spec(epochs=50), curve)
    history = read_study(shared_store, "many")
    assert history.curve(history.trial(0)) == dict(enumerate(curve, start=1))


def test_a_long_note_is_cut_and_taken(shared_store: Store) -> None:
    runs = create(shared_store, "long note")
    runs.close("FINISHED", "한" * 10_000, "trials", "all are done")
    parent = shared_store.client.get_run(runs.parent_run_id)
    assert parent.info.status == "FINISHED"
    assert parent.data.tags["mlflow.note.content"].startswith("한" * 7000)


def test_trials_left_running_are_closed(shared_store: Store) -> None:
    """One that has its result keeps it; one that has none is interrupted."""
    runs = create(shared_store, "left running")
    for number, state in ((0, "running"), (1, "pruned"), (2, "complete"), (3, "infeasible")):
        run_id = record_trial(runs, make_spec(number), CURVE, state)  # type: ignore[arg-type]
        # As a kill between the result and the status leaves it.
        shared_store.client.update_run(run_id, status="RUNNING")
    before = read_study(shared_store, "left running")
    runs.close_left_over(before.trials)
    history = read_study(shared_store, "left running")
    assert [t.state for t in history.trials] == ["interrupted", "pruned", "complete", "infeasible"]
    statuses = [run_of(history, number).info.status for number in range(4)]
    assert statuses == ["KILLED", "FINISHED", "FINISHED", "FAILED"]
    assert [t.result for t in history.trials] == [t.result for t in before.trials]


def test_the_last_attempt_counts(shared_store: Store) -> None:
    runs = create(shared_store, "attempts")
    first = record_trial(runs, make_spec(0), losses(0.1), "interrupted")
    record_trial(runs, make_spec(1), losses(0.4))
    second = record_trial(runs, make_spec(0, attempt=2), losses(0.3))
    history = read_study(shared_store, "attempts")
    assert history.counts() == {
        **dict.fromkeys(("pruned", "infeasible", "interrupted", "running"), 0),
        "complete": 2,
        "total": 2,
    }
    assert history.trial(0).run_id == second
    assert history.trial(0).spec.attempt == 2
    assert history.best == history.trial(0)
    assert shared_store.client.get_run(first).info.status == "KILLED"


def test_an_attempt_is_one_even_if_its_run_is_older(shared_store: Store) -> None:
    """The clock may have been set back in between."""
    runs = create(shared_store, "clock")
    second = record_trial(runs, make_spec(0, attempt=2), losses(0.3))
    record_trial(runs, make_spec(0), losses(0.1), "interrupted")
    assert read_study(shared_store, "clock").trial(0).run_id == second


def test_an_unknown_trial_says_what_there_is(history: StudyHistory) -> None:
    with pytest.raises(StudyNotFoundError) as told:
        history.trial(99)
    assert "no trial 99" in str(told.value)
    assert "0 to 4" in str(told.value)
