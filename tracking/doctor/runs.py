"""Runs left RUNNING, half made, unreadable, deleted in MLflow, or with files outside the store."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from search_spaces.errors import StoreError, TrackingError
from tracking import tags
from tracking.doctor.findings import Ailment, StudyRecord
from tracking.history.study_history import read_study
from tracking.history.summary import describe_study, study_note
from tracking.runs.experiments import delete_study, end_unmarked, half_deleted
from tracking.runs.parents import (
    engine_of,
    lost_parents,
    purge_experiment,
    restore_experiment,
    restore_run,
    search_experiments,
    search_runs,
)
from tracking.runs.run_contents import local_artifacts, read_trial
from tracking.runs.study_files import study_folder
from tracking.runs.study_runs import StudyRuns
from tracking.store.folder import Store

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


def check_lost_parents(record: StudyRecord) -> Iterator[Ailment]:
    """Checks that the parent runs of finished trials exist."""
    store, client = record.store, record.store.client
    for lost in lost_parents(store, record.experiment_id):
        what, how, mend = {
            "purged": ("purged from MLflow", "put mlflow.db back from a backup", None),
            "deleted": (
                "deleted in MLflow, and the study needs it",
                f"restore it: {restore_run(store, lost.run_id)}",
                None,
            ),
            "unmarked": (
                f"not marked as a study's: its tag {tags.KIND!r} was deleted in MLflow",
                "--fix sets the tag again",
                partial(client.set_tag, lost.run_id, tags.KIND, "study"),
            ),
        }[lost.fault]
        yield Ailment(
            "record",
            f"the run {lost.name or lost.run_id!r}, which trials belong to, is {what}",
            how,
            study=record.name,
            engine=lost.engine,
            run=lost.run_id,
            mend=mend,
        )


def check_tags(record: StudyRecord) -> Iterator[Ailment]:
    """Checks the tags that identify a study."""
    store, client = record.store, record.store.client
    experiment = client.get_experiment(record.experiment_id)
    if experiment.tags.get(tags.KIND) != "study":
        yield Ailment(
            "record",
            f"the experiment's tag {tags.KIND!r} was deleted in MLflow",
            "--fix sets it again",
            study=record.name,
            mend=partial(client.set_experiment_tag, record.experiment_id, tags.KIND, "study"),
        )
    for run in record.marked:
        if run.data.tags.get(tags.ENGINE):
            continue
        try:
            engine, how = engine_of(store, run), "--fix sets it again, from the definition"
        except StoreError as error:
            engine, how = "", str(error)
        yield Ailment(
            "record",
            f"the tag {tags.ENGINE!r} of the run {run.info.run_name!r} was deleted in MLflow",
            how,
            study=record.name,
            engine=engine,
            run=run.info.run_id,
            mend=partial(client.set_tag, run.info.run_id, tags.ENGINE, engine) if engine else None,
        )


def check_places(record: StudyRecord) -> Iterator[Ailment]:
    """Checks that the artifacts of a study's runs are in the store."""
    for run in record.marked:
        try:
            local_artifacts(record.store, run)
        except StoreError as error:
            yield Ailment(
                "record",
                str(error),
                "put mlflow.db back from a backup, or look where the store comes from: "
                "nothing is read or written there",
                study=record.name,
                run=run.info.run_id,
            )


def check_half_deleted(store: Store) -> Iterator[Ailment]:
    """Checks for studies whose deletion was interrupted."""
    for experiment in half_deleted(store):
        yield Ailment(
            "leftover",
            f"the deletion of the study {experiment.name!r} was interrupted",
            "--fix finishes it, as does: kerastudy delete",
            study=experiment.name,
            mend=partial(delete_study, store, experiment.name),
        )


def deleted_studies(store: Store) -> dict[str, str]:
    """Returns the studies in MLflow's trash: their files, and what can be done."""
    found = {}
    deleted = search_experiments(store.client, deleted=True)
    marked = f"tags.`{tags.KIND}` = 'study'"
    ids = [each.experiment_id for each in deleted]
    runs = search_runs(store.client, ids, marked, deleted=True)
    studies = {run.info.experiment_id for run in runs}
    for experiment in deleted:
        if experiment.experiment_id not in studies or tags.DELETING in experiment.tags:
            continue
        folder = study_folder(store, experiment.experiment_id)
        files = [path for path in folder.rglob("*") if path.is_file()]
        found[experiment.name] = (
            f"in MLflow's trash, which keeps its name; {_size(files)} in {str(folder)!r}\n"
            f"{'':10}restore it: {restore_experiment(store, experiment)}\n"
            f"{'':10}or purge it for ever: "
            f"{purge_experiment(store, experiment)}"
        )
    return found


def _size(files: list[Path]) -> str:
    megabytes = sum(path.stat().st_size for path in files) / 1e6
    return f"{len(files)} files, {megabytes:.1f} MB"
