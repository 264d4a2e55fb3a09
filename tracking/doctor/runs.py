"""Runs left RUNNING, studies killed while they were made, and unreadable runs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from search_spaces.errors import TrackingError
from tracking import tags
from tracking.doctor.findings import Ailment
from tracking.doctor.studies import StudyRecord
from tracking.history.study_history import read_study
from tracking.history.summary import describe_study, study_note
from tracking.runs.experiments import end_unmarked
from tracking.runs.parents import restore_run
from tracking.runs.run_contents import read_trial
from tracking.runs.study_runs import StudyRuns

if TYPE_CHECKING:
    from mlflow.entities import Run

_GONE = "its process ended before it did"


def check_running(record: StudyRecord) -> Iterator[Ailment]:
    """Checks for RUNNING runs; call it only while no process runs the study."""
    running: dict[str, list[Run]] = {}
    for run in record.present:
        if run.info.status == "RUNNING" and tags.KIND in run.data.tags:
            running.setdefault(run.data.tags.get(tags.ENGINE, ""), []).append(run)
    for engine, left in running.items():
        names = ", ".join(str(run.info.run_name) for run in left[:3])
        more = f" and {len(left) - 3} more" if len(left) > 3 else ""
        yield Ailment(
            "running",
            f"{names}{more}: RUNNING, but no process runs the study",
            "--fix ends them; so does launching the study again, which resumes it",
            study=record.name,
            engine=engine,
            run=left[0].info.run_id,
            mend=partial(_end, record, engine, left),
        )


def check_unmade(record: StudyRecord) -> Iterator[Ailment]:
    """Checks for studies whose process was killed while it made them."""
    unmarked = [
        run
        for run in record.present
        if tags.ENGINE in run.data.tags
        and tags.KIND not in run.data.tags
        and run.info.status == "RUNNING"
    ]
    for run in unmarked:
        yield Ailment(
            "unmade",
            f"the run {run.info.run_name!r} was never completed",
            "--fix ends it; it holds nothing",
            study=record.name,
            engine=run.data.tags[tags.ENGINE],
            run=run.info.run_id,
            mend=partial(end_unmarked, record.store, record.experiment_id),
        )
    if not record.parents and not any(tags.KIND in run.data.tags for run in record.runs):
        yield Ailment(
            "unmade",
            "the experiment has no study in it: its process was killed while it made it",
            "--fix gives it another name and deletes it in MLflow (where it can be restored); "
            "launching the study again makes it whole too",
            study=record.name,
            mend=partial(_delete_empty, record),
        )


def check_readable(record: StudyRecord) -> Iterator[Ailment]:
    """Checks that every trial's run exists and can be read."""
    for engine, parent in record.parents.items():
        numbers: set[int] = set()
        for run in record.trials(parent):
            try:
                trial = read_trial(run)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                yield Ailment(
                    "record",
                    f"the run {run.info.run_name!r} can't be read ({error!r})",
                    "put mlflow.db back from a backup; or delete the run in MLflow (mlflow "
                    f"runs delete --run-id {run.info.run_id}) and launch the study under "
                    "another name with --name",
                    study=record.name,
                    engine=engine,
                    run=run.info.run_id,
                )
                # It exists, though damaged.
                number = run.data.tags.get(tags.NUMBER, "")
                numbers |= {int(number)} if number.isdigit() else set()
            else:
                numbers |= set() if trial is None else {trial.number}
        yield from _missing(record, engine, parent, numbers)


def _missing(record: StudyRecord, engine: str, parent: Run, numbers: set[int]) -> Iterator[Ailment]:
    deleted = {
        int(run.data.tags[tags.NUMBER]): run.info.run_id
        for run in record.runs
        if run.info.lifecycle_stage == "deleted"
        and run.data.tags.get(tags.NUMBER, "").isdigit()
        and run.data.tags.get(tags.PARENT) == parent.info.run_id
    }
    last = max([*numbers, *deleted], default=-1)
    for number in sorted(set(range(last + 1)) - numbers):
        run_id = deleted.get(number, "")
        how = (
            f"restore it: {restore_run(record.store, run_id)}"
            if run_id
            else "put mlflow.db back from a backup"
        )
        yield Ailment(
            "record",
            f"the run of trial {number} was deleted, and the study needs it",
            f"{how}; or launch the study under another name with --name",
            study=record.name,
            engine=engine,
            trial=number,
            run=run_id,
        )


def _end(record: StudyRecord, engine: str, left: list[Run]) -> None:
    """Ends runs as the next launch would; unreadable ones plainly."""
    client, parent = record.store.client, record.parents.get(engine)
    # Unreadable runs are ended too.
    with contextlib.suppress(TrackingError):
        history = read_study(record.store, record.name, engine)
        runs = StudyRuns(
            record.store, record.experiment_id, history.parent_run_id, history.description
        )
        runs.close_left_over(history.trials)
        if parent in left:
            runs.close("KILLED", study_note(history, _GONE), "", _GONE)
            describe_study(record.store, record.experiment_id)
    for run in left:
        if client.get_run(run.info.run_id).info.status == "RUNNING":
            client.set_terminated(run.info.run_id, "KILLED")


def _delete_empty(record: StudyRecord) -> None:
    client, found = record.store.client, record.experiment_id
    # This frees the name, which a deleted experiment keeps.
    client.rename_experiment(found, f"{record.name} (empty, {found})")
    client.delete_experiment(found)
