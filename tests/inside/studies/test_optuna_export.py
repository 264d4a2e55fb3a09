"""A study's record as a study of Optuna's, compared with what MLflow shows."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from pathlib import Path

import pytest
from in_mlflow import InMlflow
from scripted import ScriptedExecutor, describe, run_study
from stores import history_at

import kerastudy as ks
from tracking.records import TrialSpec


class KilledError(Exception):
    """Ends a launch in the midst of a trial."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve trials, some pruned, one infeasible, and a last one that was interrupted."""

    def before(spec: TrialSpec) -> None:
        if spec.number == 11:
            raise KilledError

    folder = tmp_path_factory.mktemp("made") / "store"
    description = describe(trials=12, pruner="median")
    with contextlib.suppress(KilledError):
        run_study(ScriptedExecutor(description, before, infeasible={3}), store=folder)
    return folder


def test_optuna_has_what_mlflow_has(made: Path, tmp_path: Path) -> None:
    history = history_at(made, "scripted")
    storage = f"sqlite:///{tmp_path}/optuna.db"
    study, stored = ks.export_optuna(history), ks.export_optuna(history, storage)
    assert (study.study_name, study.direction.name) == ("scripted", "MINIMIZE")
    assert study.metric_names == ["val_loss"]
    without_ids = [{**vars(trial), "_trial_id": None} for trial in study.trials]
    assert [{**vars(trial), "_trial_id": None} for trial in stored.trials] == without_ids
    states, shown = [], InMlflow(history)
    for number, trial in enumerate(study.trials):
        run = shown.run(trial.user_attrs["kerastudy_uuid"])
        assert run.data.tags["kerastudy.trial"] == str(number)
        points = shown.points(run, "val_loss") if "val_loss" in run.data.metrics else []
        assert trial.intermediate_values == dict(points)
        values = trial.values
        assert values == ([run.data.metrics["best_val_loss"]] if values else None)
        exact = json.loads(run.data.tags["kerastudy.hyperparameters"])
        assert trial.params.items() <= exact.items()
        assert trial.datetime_start is not None
        assert trial.datetime_start.timestamp() * 1000 == pytest.approx(run.info.start_time)
        states.append((trial.state.name, run.data.tags["kerastudy.state"], values is None))
    assert states[3] == ("FAIL", "infeasible", True)
    assert "ValueError: no" in study.trials[3].user_attrs["reason"]
    assert states[11] == ("WAITING", "interrupted", True)
    others = set(states[:3] + states[4:11])
    assert others == {("COMPLETE", "complete", False), ("PRUNED", "pruned", False)}
    with pytest.raises(ks.errors.StudyError, match=r"has a study 'scripted' already"):
        ks.export_optuna(history, storage)


def test_a_study_without_trials(made: Path) -> None:
    history = dataclasses.replace(history_at(made, "scripted"), trials=())
    with pytest.raises(ks.errors.StudyError, match="no trials yet"):
        ks.export_optuna(history)
