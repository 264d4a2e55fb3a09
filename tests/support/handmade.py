"""Records trials and studies that are made up. Nothing is trained."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from scripted import describe

from tracking import records
from tracking.history import StudyHistory, record_evaluation
from tracking.journal import Journal
from tracking.store import create_store

ENVIRONMENT = {"python": "3.11.7", "keras": "3.15.1", "device": "a processor"}
VALUES = {"rate": 0.001, "units": 8, "kind": "b", "momentum": 0.5}
# The metrics of each epoch.
Curve = Sequence[Mapping[str, float]]
LOSS = records.Objective("val_loss", "min")


def make_spec(number: int = 0, **fields: Any) -> records.TrialSpec:
    """Returns the spec of a trial in `scripted.SPACE`."""
    usual: dict[str, Any] = {"attempt": 1, "values": VALUES, "seed": 17 + number, "epochs": 3}
    usual |= {"batch_size": 32, "threads": 1, "data_digest": "d" * 64, "objective": LOSS}
    return records.TrialSpec(number, **{**usual, **fields})


def make_result(
    spec: records.TrialSpec, curve: Curve, state: records.TrialState = "complete"
) -> records.TrialResult:
    """Returns the result of a trial with a curve."""
    metric, objective = spec.objective.metric, spec.objective
    best: records.BestEpoch | None = None
    for epoch, metrics in enumerate(curve, start=1):
        if best is None or objective.is_better(metrics[metric], best.value):
            best = records.BestEpoch(epoch, metrics[metric], dict(metrics))
    valued = state != "infeasible"
    return records.TrialResult(
        spec.number,
        state,
        epochs=len(curve),
        best=best if valued else None,
        weights_sha256=f"{spec.number:064x}" if valued else "",
        reason="" if state in ("complete", "pruned") else f"it was {state}, by decree",
        seconds=1.5,
        model_parameters=99,
    )


# The code of a study whose file is gone.
CODE = records.CodeDescription("/a.py", "study", "…", "c" * 64, "study")


def losses(*values: float) -> list[dict[str, float]]:
    """Returns a curve with these validation losses."""
    return [{"loss": value / 2, "val_loss": value} for value in values]


def record_trial(
    journal: Journal,
    spec: records.TrialSpec,
    curve: Curve = (),
    state: records.TrialState = "complete",
    engine_state: Mapping[str, str] | None = None,
    **environment: str,
) -> str:
    """Records a trial as the driver does, and returns its uuid. A "running" trial does not end."""
    proposal = records.Proposal(spec.number, spec.values, engine_state or {})
    uuid = journal.begin_trial(spec, proposal, {**ENVIRONMENT, **environment})
    journal.begin_fit(uuid, spec, only=True)
    for epoch, metrics in enumerate(curve, start=1):
        journal.log_epoch(uuid, records.EpochResult(spec.number, epoch, metrics, 0.1 * epoch))
    if state != "running":
        journal.end_trial(uuid, make_result(spec, curve, state))
    journal.flush()
    return uuid


def record_study(
    root: Path,
    name: str,
    values: Sequence[float | None],
    params: Sequence[Mapping[str, Any]] = ({"rate": 0.01, "kind": "a"},),
    **settings: Any,
) -> Journal:
    """Records trials of two epochs and 1.5 s with these best values; None for an infeasible one.

    The trials have the hyperparameters in `params` in turn. A missing store is created.
    """
    store = create_store(root)
    description = describe(name=name, **settings)
    folder = store.folder_of(name) or store.new_folder(name)
    journal = Journal.begin(folder, description)
    objective = description.objective
    worse = -9.0 if objective.direction == "max" else 9.0
    for number, value in enumerate(values):
        spec = make_spec(number, values=params[number % len(params)], objective=objective)
        curve = [{objective.metric: score} for score in (worse, worse if value is None else value)]
        record_trial(journal, spec, curve, "infeasible" if value is None else "complete")
    return journal


def record_confirmed(journal: Journal, study: str, value: float, low: float, high: float) -> None:
    """Records a confirmation whose winner, trial 0, has this value on the test part."""
    uuid = journal.begin_confirmation("{}")
    outcome = records.Confirmation(
        study, uuid, "val_accuracy", "max", 0, value, None, (1,), (), None, 0,
        records.Interval(value, low, high),
    )  # fmt: skip
    journal.end_confirmation(uuid, outcome)


def record_repeated(
    journal: Journal, spec: records.TrialSpec, curve: Curve, epochs: Sequence[int]
) -> None:
    """Records a trial of 6 s. `epochs` has the epochs of each repeat, whose curves are missing."""
    result = make_result(spec, curve)
    repeats = [records.Repeat(i, "", count, result.best, "", 2.0) for i, count in enumerate(epochs)]
    uuid = journal.begin_trial(spec, records.Proposal(spec.number, spec.values), ENVIRONMENT)
    result = replace(result, epochs=max(epochs), seconds=6.0, repeats=repeats)
    journal.end_trial(uuid, result)


def code_of(file: Path, name: str, study: str) -> records.CodeDescription:
    """Returns the code of a study in a file. `name` is the variable, `study` the study's name."""
    folder = str(file.parent)
    return records.CodeDescription(str(file), name, "", "", study_name=study, folder=folder)


def other_data() -> records.DataDescription:
    """Returns the description of data that no recorded study has."""
    return records.DataDescription("elsewhere", "memory", "e" * 64, {}, {}, {})


def record_confirmation(
    journal: Journal,
    study: str,
    race: Sequence[records.Racer],
    trainings: Sequence[records.TrialSpec] = (),
    **fields: Any,
) -> None:
    """Records a confirmation that has ended. `race` has the winner first."""
    uuid = journal.begin_confirmation('{"options": {"top": 2}}')
    for number, spec in enumerate(trainings):
        training = journal.begin_training(uuid, spec, f"{uuid}{number}")
        journal.log_epoch(training, records.EpochResult(spec.number, 1, {"val_loss": 0.5}, 0.1))
        journal.end_fit(training, make_result(spec, losses(0.5)))
    outcome = records.Confirmation(
        study, uuid, "val_loss", "min", 1, 0.25, None, (1, 2), tuple(race), None,
        race[0].trial, records.Interval(0.31, 0.2, 0.42), records.Interval(0.1, 0.05, 0.15),
    )  # fmt: skip
    journal.end_confirmation(uuid, replace(outcome, **fields))


def record_reading(history: StudyHistory, study: str, trial: int, digest: str) -> None:
    """Records an evaluation of another study's trial on the test part with a digest."""
    metrics = {"loss": records.Measured(0.3)}
    record_evaluation(
        history, records.Evaluation(study, trial, 2, 50, digest, metrics, time=1_700_000_000_000)
    )


def trial_record(
    number: int, value: float | None, epoch: int = 1, state: records.TrialState = "complete"
) -> records.TrialRecord:
    """Returns a trial as it is read from a journal, with its best value at an epoch."""
    best = None if value is None else records.BestEpoch(epoch, value, {"val_loss": value})
    uuid, spec = f"trial-{number}", make_spec(number)
    trial = records.TrialRecord(uuid, spec, "running", None, {}, {}, "", 0)
    if state == "running":
        return trial
    return trial.with_result(records.TrialResult(number, state, epochs=epoch, best=best))


def contents(folder: Path) -> dict[str, str]:
    """Returns the digests of a folder's files, without those that SQLite keeps beside databases."""
    return {
        str(path.relative_to(folder)): (
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "a folder"
        )
        for path in sorted(folder.rglob("*"))
        if not path.name.endswith(("-wal", "-shm"))
    }
