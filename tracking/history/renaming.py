"""Renames a study: its experiment, and its registered model."""

from __future__ import annotations

import contextlib
import shlex
import sqlite3

from search_spaces.errors import StudyDeletedError, StudyNameError
from tracking import tags
from tracking.history.study_history import StudyHistory, read_engines, read_study
from tracking.history.summary import renew_note
from tracking.mlflow_parts import rewrite_tag
from tracking.runs.champion_versions import models_of, rename_registered
from tracking.runs.pages import model_description
from tracking.runs.parents import in_trash, parent_name
from tracking.store.folder import Store, check_study_name


def rename_study(store: Store, name: str, to: str) -> str:
    """Renames a study, with its registered model if that has its name.

    Launched from its file, it resumes under ``--name`` with the new name. A copy on a server keeps
    the former one.

    Args:
        store: The store.
        name: The present name.
        to: The new one.

    Returns:
        The new name, as it is recorded.

    Raises:
        StudyNotFoundError: If there is no such study.
        StudyNameError: If the new name can't be one, or is taken by a study or a registered model.
        StudyDeletedError: If a study in MLflow's trash has the new name.
        StoreLockedError: If a process runs the study.
    """
    from mlflow.exceptions import MlflowException

    to = check_study_name(to)
    history, client = read_study(store, name), store.client
    former = history.description.name
    taken = client.get_experiment_by_name(to)
    if taken is not None and taken.lifecycle_stage == "deleted":
        raise StudyDeletedError(in_trash(store, taken))
    if taken is not None:
        raise StudyNameError(f"The store has a study {to!r} already. Choose another name.")
    with store.lock_study(former, history.experiment_id):
        # The model first: a process that is killed in between can be run again.
        for model in models_of(client, history.experiment_id):
            if model.name == former:
                try:
                    client.rename_registered_model(former, to)
                except MlflowException as error:
                    raise StudyNameError(
                        f"The store has a registered model {to!r} already ({error.error_code}). "
                        "Choose another name."
                    ) from None
        rename_registered(client, history.experiment_id, former, to)
        client.rename_experiment(history.experiment_id, to)
        for each in read_engines(store, to):
            _rename_parent(each, former)
            renew_note(each)
        _rename_in_notes(store, former, to)
    return to


def _rename_parent(history: StudyHistory, former: str) -> None:
    """Renames a study's run, unless a person has given it another name."""
    client, engine = history.store.client, history.description.engine
    if client.get_run(history.parent_run_id).info.run_name == parent_name(former, engine):
        name = parent_name(history.description.name, engine)
        client.update_run(history.parent_run_id, name=name)


def _rename_in_notes(store: Store, former: str, to: str) -> None:
    """Renames the study in the commands on its trials' pages, and on its model's."""
    before, after = (f"kerastudy reproduce {shlex.quote(name)} --" for name in (former, to))
    opened = sqlite3.connect(store.root / "mlflow.db", timeout=60)
    with contextlib.closing(opened) as database, database:
        rewrite_tag(database, tags.NOTE, before, after)
    for model in models_of(store.client, store.client.get_experiment_by_name(to).experiment_id):
        described = model_description(model.name, model.tags[tags.EXPERIMENT])
        store.client.update_registered_model(model.name, described)
