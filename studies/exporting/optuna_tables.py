"""Optuna's storage of an export: opening it, and writing many trials at once."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from search_spaces.errors import StudyError
from search_spaces.private_parts import MissingPartError
from studies.libraries.optuna_parts import tables
from tracking.store.failures import first_cause

if TYPE_CHECKING:
    from optuna.storages import RDBStorage
    from optuna.trial import FrozenTrial
    from sqlalchemy.engine import URL

# Trials that are written in one transaction.
_AT_ONCE: Final = 1000


@contextlib.contextmanager
def opened_storage(address: str) -> Iterator[tuple[RDBStorage, str]]:
    """Opens a storage, or makes it; returns it with its address without password.

    Raises:
        StudyError: If it can't be used, now or within.
    """
    import optuna
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError

    hint = "Give the address of a database, such as --storage sqlite:///optuna.db."
    try:
        url = make_url(address)
    except ArgumentError:
        raise StudyError(f"{address!r} is no address of a storage. {hint}") from None
    shown = url.render_as_string(hide_password=True)
    of_file = url.get_backend_name() == "sqlite"
    if of_file and url.database in (None, "", ":memory:"):
        raise StudyError(f"The storage {shown!r} would be lost with this process. {hint}")
    arguments = {"connect_args": {"timeout": 60}} if of_file else {}
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        storage = _open(url, shown, arguments)
        try:
            yield storage, shown
        finally:
            storage.remove_session()
            storage.engine.dispose()
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        raise StudyError(f"The storage {shown!r} can't be used: {first_cause(error)}.") from None
    finally:
        optuna.logging.set_verbosity(verbosity)


def _open(url: URL, shown: str, arguments: dict[str, Any]) -> RDBStorage:
    from optuna.storages import RDBStorage
    from sqlalchemy import inspect
    from sqlalchemy.engine import create_engine

    try:
        engine = create_engine(url, **arguments)
        there = set(inspect(engine).get_table_names())
        engine.dispose()
        if there and not {"studies", "trials"} <= there:
            raise StudyError(
                f"The storage {shown!r} is a database of something else: it has the tables "
                f"{', '.join(sorted(there)[:3])}. Name one of its own with --storage."
            )
        # With its password.
        return RDBStorage(url.render_as_string(hide_password=False), engine_kwargs=arguments)
    except (ImportError, RuntimeError) as error:
        # The database's driver is not installed; its tables are of another version of Optuna.
        raise StudyError(f"The storage {shown!r} can't be used: {error}") from None


def write_trials(
    storage: RDBStorage, name: str, trials: Sequence[FrozenTrial], gone: Sequence[int]
) -> None:
    """Replaces trials of a study by number, and removes others."""
    try:
        models = tables()
    except MissingPartError:
        _write_slowly(storage, name, trials, gone)
        return
    study_id = storage.get_study_id_from_name(name)
    for first in range(0, len(trials), _AT_ONCE):
        _write(storage, models, study_id, trials[first : first + _AT_ONCE], ())
    if gone:
        _write(storage, models, study_id, (), gone)


def _write_slowly(
    storage: RDBStorage, name: str, trials: Sequence[FrozenTrial], gone: Sequence[int]
) -> None:
    """Writes trials by the public API, which can't replace a trial."""
    import optuna

    study = optuna.load_study(study_name=name, storage=storage)
    direction = study.direction
    left = {trial.number: trial for trial in study.trials if trial.number not in gone}
    written = {trial.number: trial for trial in trials}
    if gone or left.keys() & written.keys():
        optuna.delete_study(study_name=name, storage=storage)
        study = optuna.create_study(study_name=name, storage=storage, direction=direction)
        written = {**left, **written}
    study.add_trials([written[number] for number in sorted(written)])


def _write(
    storage: RDBStorage,
    models: Any,
    study_id: int,
    trials: Sequence[FrozenTrial],
    gone: Sequence[int],
) -> None:
    """Writes trials into Optuna's tables, and removes others, in one transaction.

    Optuna's own API uses a transaction for each trial, and reads before each write of a parameter,
    attribute or epoch: 14 ms for a trial.
    """
    from sqlalchemy.orm import Session

    numbers = [*(trial.number for trial in trials), *gone]
    with Session(storage.engine) as session, session.begin():
        # A write comes first: it waits for another process that exports the same study.
        own = models.StudyModel.study_id == study_id
        name = models.StudyModel.study_name
        session.query(models.StudyModel).filter(own).update({name: name}, synchronize_session=False)
        of_study = models.TrialModel.study_id == study_id
        among = models.TrialModel.number.in_(numbers)
        there = {
            row.number: row for row in session.query(models.TrialModel).filter(of_study, among)
        }
        ids = [row.trial_id for row in there.values()]
        for model in _of_trials(models):
            before = session.query(model).filter(model.trial_id.in_(ids))
            before.delete(synchronize_session=False)
        for number in gone:
            session.delete(there[number])
        rows = []
        for trial in trials:
            row = there.get(trial.number) or models.TrialModel(
                study_id=study_id, number=trial.number
            )
            row.state = trial.state
            row.datetime_start, row.datetime_complete = (
                trial.datetime_start,
                trial.datetime_complete,
            )
            rows.append(row)
        session.add_all(rows)
        session.flush()
        fields: dict[Any, list[dict[str, Any]]] = {model: [] for model in _of_trials(models)}
        for row, trial in zip(rows, trials, strict=True):
            for model, found in _fields(trial, models).items():
                fields[model] += [{"trial_id": row.trial_id, **each} for each in found]
        for model, found in fields.items():
            session.bulk_insert_mappings(model, found)


def _of_trials(models: Any) -> list[Any]:
    """Returns the tables with parts of a trial."""
    return [
        models.TrialParamModel,
        models.TrialValueModel,
        models.TrialIntermediateValueModel,
        models.TrialUserAttributeModel,
        models.TrialSystemAttributeModel,
        models.TrialHeartbeatModel,
    ]


def _fields(trial: FrozenTrial, models: Any) -> dict[Any, list[dict[str, Any]]]:
    """Returns the rows of a trial by table, without its id."""
    from optuna.distributions import distribution_to_json

    def attributes(found: Mapping[str, Any]) -> list[dict[str, Any]]:
        return [{"key": key, "value_json": json.dumps(value)} for key, value in found.items()]

    value_of = models.TrialValueModel.value_to_stored_repr
    epoch_of = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr
    values = [(i, *value_of(value)) for i, value in enumerate(trial.values or [])]
    epochs = [(step, *epoch_of(value)) for step, value in trial.intermediate_values.items()]
    return {
        models.TrialParamModel: [
            {
                "param_name": name,
                "param_value": trial.distributions[name].to_internal_repr(value),
                "distribution_json": distribution_to_json(trial.distributions[name]),
            }
            for name, value in trial.params.items()
        ],
        models.TrialValueModel: [
            {"objective": i, "value": value, "value_type": kind} for i, value, kind in values
        ],
        models.TrialIntermediateValueModel: [
            {"step": step, "intermediate_value": value, "intermediate_value_type": kind}
            for step, value, kind in epochs
        ],
        models.TrialUserAttributeModel: attributes(trial.user_attrs),
    }
