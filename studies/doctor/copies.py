"""Optuna's copy of the record: comparing it, and making it again."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from functools import partial

from search_spaces.optuna_space import OptunaSpace
from studies.curves import RecordedCurves
from studies.definitions import most_epochs
from studies.engines.optuna_export import (
    OptunaExport,
    agreement,
    export_name,
    exported_names,
    exported_study,
    remove_exported,
)
from studies.engines.optuna_trials import OptunaTrials
from studies.settings import ENGINES
from tracking.atomic import replacing
from tracking.databases import database_fault
from tracking.doctor.findings import FOLDER, Ailment, Finding
from tracking.history import StudyHistory
from tracking.mlflow_client import make_optuna_anew
from tracking.parents import renamed_from
from tracking.records import FINISHED_STATES
from tracking.store import Store


def check_database(store: Store, at_work: Iterable[str]) -> Iterator[Ailment]:
    """Checks Optuna's database: damaged or gone, it is made anew, empty, and then filled.

    Args:
        store: The store.
        at_work: Studies that processes hold: they have it open, and it is left as it is.
    """
    path = store.root / "optuna.db"
    fault = database_fault(path, thorough=True)
    if not fault:
        return
    others = ", ".join(map(repr, at_work))
    how = (
        f"it is left as it is while {others} at work with it; --fix mends it afterwards"
        if others
        else "--fix keeps it as damaged-optuna.db and makes it again from the record"
    )
    yield Ailment(
        Finding(
            "database", f"optuna.db, a copy of the record, is damaged: {fault}", how, path=str(path)
        ),
        None if others else partial(make_optuna_anew, store),
    )


def check_copy(history: StudyHistory) -> Iterator[Ailment]:
    """Checks that Optuna's storage has a study's finished trials as the record has them."""
    description = history.description
    if [trial.number for trial in history.trials] != list(range(len(history.trials))):
        # Runs are missing: told of by then, and a launch is refused.
        return
    finished = [trial for trial in history.trials if trial.state in FINISHED_STATES]
    study = exported_study(history.store, export_name(description.name, description.engine))
    space = OptunaSpace(description.space)
    agreeing = {} if study is None else agreement(study, finished, lambda t: space.decode(t.params))
    if agreeing is None:
        what = "Optuna's copy of the study does not say what the record says"
        how = f"--fix makes it again from the record, and keeps this one in {FOLDER}/"
    elif len(agreeing) < len(finished):
        what = f"Optuna's copy of the study lacks {len(finished) - len(agreeing)} finished trials"
        how = "--fix adds them from the record; launching the study again does too"
    else:
        return
    yield Ailment(
        Finding("copy", what, how, study=description.name, engine=description.engine),
        partial(_make_again, history, keep=agreeing is None),
    )


def check_unknown_copies(store: Store) -> Iterator[Ailment]:
    """Checks for copies of studies that the record does not have, deleted or not."""
    for name in exported_names(store):
        study, _, engine = name.removesuffix(")").rpartition(" (")
        if not name.endswith(")") or engine.partition(",")[0] not in ENGINES:
            # Somebody's own.
            continue
        if store.client.get_experiment_by_name(study) is not None:
            continue
        renamed = " and ".join(map(repr, renamed_from(store, study)))
        if renamed:
            yield Ailment(
                Finding(
                    "copy",
                    f"Optuna's database has the study {name!r} under the name that it had before "
                    f"it was renamed to {renamed} in MLflow",
                    f"--fix removes it there, and keeps the database as it is in {FOLDER}/",
                    study=study,
                    engine=engine,
                ),
                partial(_remove, store, name),
            )
        else:
            yield Ailment(
                Finding(
                    "copy",
                    f"Optuna's database has the study {name!r}, and the record does not",
                    "put back an mlflow.db from a backup that has it; or delete the copy, if it is "
                    f"of no use: optuna delete-study --study-name '{name}' "
                    f"--storage {store.optuna_uri}",
                    study=study,
                    engine=engine,
                )
            )


def _make_again(history: StudyHistory, *, keep: bool) -> None:
    """Writes a study's finished trials into Optuna's storage, as a launch would.

    Args:
        history: The study.
        keep: Whether the storage is to be kept as it is: it may have what the record lacks.
    """
    description, store = history.description, history.store
    if keep:
        _back_up(store)
    name = export_name(description.name, description.engine)
    OptunaTrials(
        name=description.name,
        space=description.space,
        objective=description.objective,
        pruner=description.pruner,
        epochs=most_epochs(description),
        export=OptunaExport(store, name, description.objective),
    ).restore(history.trials, RecordedCurves(store, history.trials), None)


def _remove(store: Store, name: str) -> None:
    _back_up(store)
    remove_exported(store, name)


def _back_up(store: Store) -> None:
    folder, count = store.root / FOLDER, 1
    folder.mkdir(exist_ok=True)
    while (folder / f"optuna-{count}.db").exists():
        count += 1
    # SQLite's own way: with what is in the write-ahead log.
    with (
        replacing(folder / f"optuna-{count}.db") as partial_path,
        contextlib.closing(sqlite3.connect(store.root / "optuna.db")) as source,
        contextlib.closing(sqlite3.connect(partial_path)) as target,
    ):
        source.backup(target)
