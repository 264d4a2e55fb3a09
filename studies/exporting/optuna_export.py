"""Exports a study's record as an Optuna study, for Optuna's dashboard and API.

An export of MLflow's record, made on request, and never read back. Another export updates it:
trials that equal the record are not written again.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal

from search_spaces.errors import StudyError
from search_spaces.translations.optuna_space import OptunaSpace
from studies.exporting.optuna_tables import opened_storage, write_trials
from tracking.history.curves import RecordedCurves
from tracking.history.study_history import StudyHistory
from tracking.records import EndedTrial, TrialRecord

if TYPE_CHECKING:
    from optuna import Study
    from optuna.storages import RDBStorage
    from optuna.trial import FrozenTrial

RUN: Final = "mlflow_run"
"""The attribute of an exported trial that names its run in MLflow."""

# Fields that must be equal for a trial not to be written again.
_COMPARED: Final = (
    "state",
    "values",
    "params",
    "distributions",
    "intermediate_values",
    "datetime_start",
    "datetime_complete",
)


@dataclass(frozen=True)
class OptunaExport:
    """The outcome of an export.

    Attributes:
        study: The study's name in Optuna's storage: ``digits (optuna:tpe)``.
        storage: The storage's address, without its password.
        trials: How many trials it has there.
        written: How many of them were new or outdated.
    """

    study: str
    storage: str
    trials: int
    written: int


def export_optuna(history: StudyHistory, storage: str | None = None) -> OptunaExport:
    """Writes a study under one engine into an Optuna storage, or updates it there.

    Trials have the recorded numbers, parameters, objectives by epoch, and times. An infeasible
    trial is FAIL, with its reason among its user attributes; a running one is RUNNING; an
    interrupted one, which will be resumed, is WAITING.

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
    name = f"{history.description.name} ({history.description.engine})"
    if not history.trials:
        raise StudyError(f"The study {name!r} has no trials yet: there is nothing to export.")
    address = storage or history.store.optuna_uri
    with opened_storage(address) as (opened, shown):
        study = _study(opened, name, history, shown)
        stored = {trial.number: trial for trial in study.get_trials(deepcopy=False)}
        _check_ours(history, name, shown, list(stored.values()))
        wanted = _trials(history)
        changed = [trial for trial in wanted if not _is_stored(trial, stored.get(trial.number))]
        gone = sorted(stored.keys() - {trial.number for trial in wanted})
        write_trials(opened, name, changed, gone)
    return OptunaExport(name, shown, len(wanted), len(changed))


def _study(storage: RDBStorage, name: str, history: StudyHistory, shown: str) -> Study:
    """Returns the study of a storage; makes it if there is none.

    Raises:
        StudyError: If there is one with another direction.
    """
    import optuna

    objective = history.description.objective
    direction: Literal["maximize", "minimize"] = (
        "maximize" if objective.direction == "max" else "minimize"
    )
    study = optuna.create_study(
        study_name=name, storage=storage, direction=direction, load_if_exists=True
    )
    if [each.name.lower() for each in study.directions] != [direction]:
        raise _something_else(name, shown, f"one that does not {direction} one value")
    if study.metric_names is None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.set_metric_names([objective.metric])
    return study


def _check_ours(
    history: StudyHistory, name: str, shown: str, stored: Sequence[FrozenTrial]
) -> None:
    """Checks that all trials of a study in Optuna's storage are exported ones of this study."""
    from mlflow.exceptions import MlflowException

    runs = {trial.run_id for trial in history.trials}
    for trial in stored:
        run_id = str(trial.user_attrs.get(RUN, ""))
        if run_id in runs:
            continue
        # An attempt before the last, or a run that was deleted in MLflow.
        with contextlib.suppress(MlflowException):
            run = history.store.client.get_run(run_id) if run_id else None
            if run is not None and run.info.experiment_id == history.experiment_id:
                continue
        raise _something_else(
            name, shown, f"its trial {trial.number} is not of this study's record"
        )


def _something_else(name: str, shown: str, how: str) -> StudyError:
    return StudyError(
        f"The storage {shown!r} has another study under the name {name!r}: {how}. Name another "
        "storage with --storage, such as --storage sqlite:///optuna.db."
    )


def _trials(history: StudyHistory) -> list[FrozenTrial]:
    """Returns the trials of the record as Optuna's."""
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
    curve = RecordedCurves(history.store, history.trials)
    found = []
    for trial in history.trials:
        state = by_state[trial.state]
        params, distributions = space.encode(trial.spec.values)
        has_value = trial.best is not None and trial.state in ("complete", "pruned")
        found.append(
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
    return found


def _time(milliseconds: int) -> datetime:
    # Optuna's times are local times.
    return datetime.fromtimestamp(milliseconds / 1000)


def _attributes(trial: TrialRecord) -> dict[str, Any]:
    """Returns further facts of a trial, for people to read."""
    found: dict[str, Any] = {RUN: trial.run_id, "seed": trial.spec.seed}
    if trial.epoch is not None:
        found["best_epoch"] = trial.epoch
    if trial.spec.goes_on_from is not None:
        found["goes_on_from"] = trial.spec.goes_on_from
    if isinstance(trial, EndedTrial) and trial.result.reason:
        found["reason"] = trial.result.reason
    return found


def _is_stored(wanted: FrozenTrial, stored: FrozenTrial | None) -> bool:
    """Returns whether a stored trial equals the exported one; other attributes may stay."""
    return (
        stored is not None
        and all(getattr(wanted, name) == getattr(stored, name) for name in _COMPARED)
        and wanted.user_attrs.items() <= stored.user_attrs.items()
    )
