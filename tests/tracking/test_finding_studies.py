"""Finding studies in a store: unknown ones, several, damaged ones, and what others keep there."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from handmade import (
    ENVIRONMENT,
    LOSS,
    VALUES,
    losses,
    make_result,
    make_spec,
    record_trial,
)
from scripted import describe

from search_spaces import StoreError, StudyDeletedError, StudyNotFoundError
from tracking.history import find_engines, read_study, study_names
from tracking.records import (
    BestEpoch,
    CodeDescription,
    DataDescription,
    EpochResult,
    Proposal,
    StudyDescription,
)
from tracking.runs import StudyRuns
from tracking.store import Store, open_store

DATA = DataDescription(
    "꽃 irises",
    "a file of mine",
    "d" * 64,
    {"train": "1" * 64, "validation": "2" * 64, "test": "3" * 64},
    {"train": 90, "validation": 30, "test": 30},
    {"classes": 3, "shapes": {"train": {"x": [90, 4]}}},
)
CODE = CodeDescription("/home/me/내 연구.py", "study", "print('안녕')\n", "c" * 64)


def create(store: Store, name: str, **settings: object) -> StudyRuns:
    return StudyRuns.create(store, describe(name=name, **settings), ENVIRONMENT)


def test_an_unknown_study_names_near_ones(shared_store: Store) -> None:
    for name in ("digits of hands", "digits of feet"):
        create(shared_store, name)
    with pytest.raises(StudyNotFoundError) as told:
        read_study(shared_store, "digits of hand")
    assert "'digits of hand'" in str(told.value)
    assert "'digits of hands'" in str(told.value)
    assert str(shared_store.root) in str(told.value)
    assert find_engines(shared_store, "digits of hand") == []


def test_a_study_in_an_empty_store_is_unknown(new_store: Store) -> None:
    with pytest.raises(StudyNotFoundError, match="empty"):
        read_study(new_store, "digits")


def test_the_latest_study_is_named_first(new_store: Store) -> None:
    for name in ("first", "second", "third"):
        create(new_store, name)
    assert study_names(new_store) == ["third", "second", "first"]


def test_two_engines_are_kept_apart(new_store: Store) -> None:
    """That of the best trial is read, else the one launched last, unless another is asked for."""
    tpe = create(new_store, "two engines")
    tpe.set_running()
    random = create(new_store, "two engines", engine="optuna:random")
    random.set_running()
    assert read_study(new_store, "two engines").description.engine == "optuna:random"
    record_trial(tpe, make_spec(0), losses(0.5))
    record_trial(random, make_spec(0), losses(0.25))
    record_trial(random, make_spec(1), losses(0.75))
    latest = read_study(new_store, "two engines")
    assert latest.engines == ("optuna:tpe", "optuna:random")
    assert latest.description.engine == "optuna:random"
    assert [t.best and t.best.value for t in latest.trials] == [0.25, 0.75]
    other = read_study(new_store, "two engines", "optuna:tpe")
    assert other.experiment_id == latest.experiment_id
    assert other.parent_run_id == tpe.parent_run_id
    assert [t.best and t.best.value for t in other.trials] == [0.5]
    tpe.set_running()
    again = read_study(new_store, "two engines")
    assert again.description.engine == "optuna:random"
    assert again.engines[-1] == "optuna:tpe"
    assert study_names(new_store) == ["two engines"]
    with pytest.raises(StudyNotFoundError) as told:
        read_study(new_store, "two engines", "optuna:grid")
    assert "'optuna:grid'" in str(told.value)
    assert "optuna:tpe" in str(told.value)
    assert "optuna:random" in str(told.value)


def test_a_study_deleted_in_mlflow_is_not_written_over(new_store: Store) -> None:
    runs = create(new_store, "deleted")
    new_store.client.delete_experiment(runs.experiment_id)
    assert study_names(new_store) == []
    with pytest.raises(StudyDeletedError, match="experiments restore --experiment-id 1\n"):
        find_engines(new_store, "deleted")
    with pytest.raises(StudyDeletedError, match="deleted in MLflow"):
        create(new_store, "deleted")


def test_what_others_keep_in_the_store_is_no_study(new_store: Store) -> None:
    """An experiment made in the MLflow UI has no runs of ours."""
    create(new_store, "ours")
    kind = {"mlflow.experimentKind": "custom_model_development"}
    for name, given in (("theirs", {}), ("theirs too", kind)):
        experiment = new_store.client.create_experiment(name, tags=given)
        new_store.client.create_run(experiment)
    assert study_names(new_store) == ["ours"]
    with pytest.raises(StudyNotFoundError) as told:
        read_study(new_store, "theirs")
    assert "'ours'" in str(told.value)


def test_a_lost_definition_is_told(new_store: Store) -> None:
    runs = create(new_store, "lost")
    (path,) = new_store.root.glob(f"mlartifacts/*/{runs.parent_run_id}/**/definition.json")
    for text in (None, "{", "{}", "[]"):
        path.unlink(missing_ok=True)
        if text is not None:
            path.write_text(text)
        with pytest.raises(StoreError, match=r"definition\.json"):
            read_study(new_store, "lost")


BEGIN = """
import os, signal, sys
from scripted import describe
from tracking.runs import StudyRuns
from tracking.store import open_store

class Killed(StudyRuns):
    def write_definition(self):
        os.kill(os.getpid(), signal.SIGKILL)

Killed.create(open_store(sys.argv[1]), describe(name="killed early"), {})
"""


# At any step in `test_faults`.
@pytest.mark.exhaustive
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_killed_while_the_study_was_made(new_store: Store) -> None:
    """Launching again goes on, and the other studies are as they were."""
    from scripted import ScriptedExecutor, run_study

    from studies.progress import NoProgress

    create(new_store, "another")
    support = str(Path(__file__).parents[1] / "support")
    run = subprocess.run(
        [sys.executable, "-c", BEGIN, str(new_store.root)],
        env={**os.environ, "PYTHONPATH": support},
    )
    assert run.returncode == -signal.SIGKILL
    store = open_store(new_store.root)
    assert store is not None
    assert read_study(store, "another").counts()["total"] == 0
    executor = ScriptedExecutor(describe(name="killed early", trials=2))
    history = run_study(executor, store=store.root, progress=NoProgress())
    assert history.counts()["complete"] == 2


def test_a_description_survives_json() -> None:
    described = describe(data=DATA, code=CODE, keep=None, notes="줄 1\n줄 2")
    assert StudyDescription.from_json(described.to_json()) == dataclasses.replace(
        described, code=dataclasses.replace(CODE, source="")
    )


def test_an_epoch_shows_before_the_trial_ends(new_store: Store) -> None:
    """What was logged is there once the trial has ended, whoever reads it."""
    runs = create(new_store, "by another")
    run_id = runs.begin_trial(make_spec(), Proposal(0, VALUES), ENVIRONMENT)
    assert read_study(new_store, "by another").trial(0).state == "running"
    runs.log_epoch(run_id, EpochResult(0, 1, {"val_loss": 0.5}, 0.1))
    runs.finish_trial(run_id, make_result(make_spec(), losses(0.5)))
    other = open_store(new_store.root)
    assert other is not None
    trial = read_study(other, "by another").trial(0)
    assert trial.best == BestEpoch(1, 0.5, {"loss": 0.25, "val_loss": 0.5})
    assert trial.spec.objective == LOSS
