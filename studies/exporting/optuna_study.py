"""Exports a study to an Optuna storage.

kerastudy never reads an export back. A second export adds the new trials. If exported trials have
changed, it writes the whole study anew, as Optuna's API can't change a trial.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal

from search_spaces import OptunaSpace
from search_spaces.errors import StudyError
from tracking.history.study_history import StudyHistory
from tracking.history.trials import RecordedCurves
from tracking.records import EndedTrial, TrialRecord
from tracking.store.files import first_cause

if TYPE_CHECKING:
    from optuna import Study
    from optuna.storages import RDBStorage
    from optuna.trial import FrozenTrial

UUID: Final = "kerastudy_uuid"
"""The user attribute that has the recorded uuid of an exported trial."""

# If one of these fields differs from the record, the study is written anew.
_COMPARED: Final = (
    "state",
    "values",
    "params",
    "distributions",
    "intermediate_values",
    "datetime_start",
    "datetime_complete",
)
_HINT: Final = "Give the address of a database, such as --storage sqlite:///optuna.db."


@dataclass(frozen=True)
class OptunaExport:
    """The outcome of an export.

    Attributes:
        study: The study's name in Optuna's storage: ``digits (optuna:tpe)``.
        storage: The storage's address, without its password.
        trials: How many trials the study has there.
        written: How many were written now: the new trials, or all if exported ones had changed.
    """

    study: str
    storage: str
    trials: int
    written: int


def export_optuna(history: StudyHistory, storage: str | None = None) -> OptunaExport:
    """Writes a study under one engine into an Optuna storage, or updates it there.

    Trials keep their order, parameters, objectives by epoch, and times. The user attribute "trial"
    has the recorded number. Infeasible trials are FAIL, with the user attribute "reason". Running
    trials are RUNNING. Interrupted trials are WAITING, as they will be resumed.

    Args:
        history: The study, as `read_study` and `Study.launch` return it.
        storage: Address of a database, such as ``sqlite:///digits.db``. Default: the file
            ``optuna.db`` in the store.

    Raises:
        StudyError: If the study has no trials, if the database can't be used, or if it has another
            study of this name.

    Example:
        ```python
        export = ks.export_optuna(ks.read_study("digits"))
        optuna.load_study(study_name=export.study, storage=export.storage).best_value
        ```
    """
    import optuna

    name = f"{history.description.name} ({history.description.engine})"
    if not history.trials:
        raise StudyError(f"The study {name!r} has no trials yet: there is nothing to export.")
    trials = _trials(history)
    with _opened(storage or history.store.optuna_uri) as (opened, public):
        study = _study(opened, name, history, public)
        stored = study.get_trials(deepcopy=False)
        if len(stored) > len(trials) or not all(map(_same, stored, trials)):
            optuna.delete_study(study_name=name, storage=opened)
            study, stored = _study(opened, name, history, public), []
        new = trials[len(stored) :]
        study.add_trials(new)
    return OptunaExport(name, public, len(trials), len(new))


@contextlib.contextmanager
def _opened(address: str) -> Iterator[tuple[RDBStorage, str]]:
    """Opens or makes a storage; yields it, and its address without the password."""
    import optuna
    from sqlalchemy import create_engine, inspect
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError

    try:
        url = make_url(address)
    except ArgumentError:
        raise StudyError(f"{address!r} is no address of a storage. {_HINT}") from None
    public = url.render_as_string(hide_password=True)
    of_file = url.get_backend_name() == "sqlite"
    if of_file and url.database in (None, "", ":memory:"):
        raise StudyError(f"The storage {public!r} would be lost with this process. {_HINT}")
    arguments = {"connect_args": {"timeout": 60}} if of_file else {}
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        engine = create_engine(url, **arguments)
        there = set(inspect(engine).get_table_names())
        engine.dispose()
        if there and not {"studies", "trials"} <= there:
            raise StudyError(f"{public!r} is not an Optuna database. Pass another --storage.")
        # Optuna needs the password.
        storage = optuna.storages.RDBStorage(url.render_as_string(False), engine_kwargs=arguments)
        try:
            yield storage, public
        finally:
            storage.remove_session()
            storage.engine.dispose()
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        raise StudyError(f"The storage {public!r} can't be used: {first_cause(error)}.") from None
    except (ImportError, RuntimeError) as error:
        # The database's driver is missing, or another version of Optuna made the tables.
        raise StudyError(f"The storage {public!r} can't be used: {error}") from None
    finally:
        optuna.logging.set_verbosity(verbosity)


def _study(storage: RDBStorage, name: str, history: StudyHistory, shown: str) -> Study:
    """Returns the study from a storage; makes it if the storage has none."""
    import optuna

    objective = history.description.objective
    direction: Literal["maximize", "minimize"] = (
        "maximize" if objective.direction == "max" else "minimize"
    )
    study = optuna.create_study(
        study_name=name, storage=storage, direction=direction, load_if_exists=True
    )
    reason = ""
    if [each.name.lower() for each in study.directions] != [direction]:
        reason = f"one that does not {direction} one value"
    runs = [trial.user_attrs.get(UUID) for trial in study.get_trials(deepcopy=False)]
    if None in runs:
        reason = f"its trial {runs.index(None)} is not of this study's record"
    elif runs and not {trial.uuid for trial in history.trials}.intersection(runs):
        reason = "none of its trials is of this study's record"
    if reason:
        raise StudyError(
            f"The storage {shown!r} has another study under the name {name!r}: {reason}. {_HINT}"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names([objective.metric])
    return study


def _trials(history: StudyHistory) -> list[FrozenTrial]:
    import optuna

    states = optuna.trial.TrialState
    by_state = {
        "complete": states.COMPLETE,
        "pruned": states.PRUNED,
        "infeasible": states.FAIL,
        "running": states.RUNNING,
        "interrupted": states.WAITING,
    }
    space = OptunaSpace(history.description.space)
    curve = RecordedCurves(history.folder, history.trials)
    trials = []
    for trial in history.trials:
        state = by_state[trial.state]
        params, distributions = space.encode(trial.spec.values)
        has_value = trial.best is not None and trial.state in ("complete", "pruned")
        trials.append(
            optuna.trial.FrozenTrial(
                number=trial.number,
                trial_id=trial.number,
                state=state,
                value=None,
                values=[trial.best.value] if has_value and trial.best is not None else None,
                datetime_start=_time(trial.started),
                datetime_complete=_time(trial.ended) if state.is_finished() else None,
                params=params,
                distributions=distributions,
                user_attrs=_attributes(trial),
                system_attrs={},
                intermediate_values=curve(trial),
            )
        )
    return trials


def _time(milliseconds: int) -> datetime:
    # Optuna's times are local times.
    return datetime.fromtimestamp(milliseconds / 1000)


def _attributes(trial: TrialRecord) -> dict[str, Any]:
    facts: dict[str, Any] = {
        UUID: trial.uuid,
        "trial": trial.number,
        "seed": trial.spec.seed,
        "best_epoch": trial.epoch,
        "goes_on_from": trial.spec.goes_on_from,
        "reason": (isinstance(trial, EndedTrial) and trial.result.reason) or None,
    }
    return {name: value for name, value in facts.items() if value is not None}


def _same(stored: FrozenTrial, wanted: FrozenTrial) -> bool:
    """Returns whether a stored trial is up to date. A user may have added user attributes."""
    return (
        all(getattr(stored, field) == getattr(wanted, field) for field in _COMPARED)
        and wanted.user_attrs.items() <= stored.user_attrs.items()
    )
