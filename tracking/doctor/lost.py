"""Finds what was deleted in MLflow, and what leads out of the store."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from search_spaces.errors import StoreError
from tracking import tags
from tracking.doctor.findings import Ailment
from tracking.doctor.studies import StudyRecord
from tracking.runs.deleting import delete_study, half_deleted
from tracking.runs.parents import (
    engine_of,
    lost_parents,
    purge_experiment,
    restore_experiment,
    restore_run,
)
from tracking.runs.run_contents import local_artifacts
from tracking.runs.searching import search_experiments, search_runs
from tracking.runs.study_files import study_folder
from tracking.store.folder import Store


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
