"""A study's finished trials in Optuna's own storage, for its dashboard and its API.

Written when a trial has ended, in one transaction, and never read as the truth: what differs
from the record is written anew from it. Nothing can be left RUNNING there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal

from search_spaces import SearchSpaceError
from search_spaces.private_parts import MissingPartError
from studies.engines.optuna_parts import exported_state
from studies.libraries.optuna_parts import tables
from tracking.databases import database_fault
from tracking.mlflow_client import make_optuna_anew, open_optuna_storage
from tracking.records import Objective, TrialRecord
from tracking.store import Store

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

# The attribute of a stored trial that names its run in MLflow.
RUN = "mlflow_run"


ValuesOf = Callable[["FrozenTrial"], Mapping[str, Any]]
Stored = dict[int, "FrozenTrial"]


class OptunaExport:
    """The copy of one study.

    Args:
        store: Where Optuna's storage is.
        name: Name of the study there.
        objective: Its direction.
    """

    def __init__(self, store: Store, name: str, objective: Objective) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._storage = open_optuna_storage(store)
        self._name = name
        self._direction: Literal["maximize", "minimize"] = (
            "maximize" if objective.direction == "max" else "minimize"
        )
        self._study = optuna.create_study(
            study_name=name,
            storage=self._storage,
            direction=self._direction,
            load_if_exists=True,
        )
        self._count: int | None = None

    def matching(self, finished: Sequence[TrialRecord], values_of: ValuesOf) -> Stored:
        """Returns the stored trials by number, as far as they agree with the record.

        If one does not, or the direction is another, all are dropped from the storage, and none
        is returned.
        """
        import optuna

        if self._study.direction.name.lower() == self._direction:
            agreeing = agreement(self._study, finished, values_of)
            if agreeing is not None:
                return agreeing
        self._count = None
        optuna.delete_study(study_name=self._name, storage=self._storage)
        self._study = optuna.create_study(
            study_name=self._name, storage=self._storage, direction=self._direction
        )
        return {}

    def add(self, trial: FrozenTrial) -> None:
        """Adds a finished trial.

        Straight into Optuna's own tables, in one transaction: `study.add_trial` looks for each
        parameter, attribute and epoch before it writes it, which takes 14 ms. If the tables are
        not what is known here, it is what is called.
        """
        from sqlalchemy.exc import SQLAlchemyError

        try:
            self._insert(trial)
        except (MissingPartError, AttributeError, SQLAlchemyError):
            self._study.add_trial(trial)
        if self._count is not None:
            self._count += 1

    def _insert(self, trial: FrozenTrial) -> None:
        study_id, models = tables(self._study)
        with self._storage.engine.begin() as database:
            if self._count is None:
                counted = "SELECT count(*) FROM trials WHERE study_id = ?"
                self._count = database.exec_driver_sql(counted, (study_id,)).scalar_one()
            row = {
                "study_id": study_id,
                "number": self._count,
                "state": trial.state,
                "datetime_start": trial.datetime_start,
                "datetime_complete": trial.datetime_complete,
            }
            trial_id = database.exec_driver_sql(*_statement(models.TrialModel, [row])).lastrowid
            for model, rows in _rows(trial, models).items():
                if rows:
                    further = [{"trial_id": trial_id, **fields} for fields in rows]
                    database.exec_driver_sql(*_statement(model, further))


def _statement(model: Any, rows: Sequence[Mapping[str, Any]]) -> tuple[str, Any]:
    """Returns an INSERT of rows that have the same fields, and its parameters."""
    fields = ", ".join(rows[0])
    marks = ", ".join("?" * len(rows[0]))
    parameters = [tuple(map(_stored, row.values())) for row in rows]
    return f"INSERT INTO {model.__tablename__} ({fields}) VALUES ({marks})", parameters


def _stored(value: Any) -> Any:
    """Returns what SQLAlchemy would have SQLite store."""
    if isinstance(value, Enum):
        return value.name
    return value.isoformat(" ", "microseconds") if isinstance(value, datetime) else value


def export_name(study: str, engine: str) -> str:
    """Returns what a study under an engine is called in Optuna's storage."""
    return f"{study} ({engine})"


def can_export(store: Store, study: str, say: Callable[[str], None]) -> bool:
    """Tells whether Optuna's database can be written; makes a damaged one anew, and says so.

    It holds nothing that the record lacks. While other studies run it is left as it is: they have
    it open.

    Args:
        store: Where it is.
        study: The study that this process holds.
        say: Takes what a person should know.
    """
    fault = database_fault(store.root / "optuna.db")
    if not fault:
        return True
    others = store.at_work(but=study)
    damaged = f"warning: Optuna's copy of the record, optuna.db, is damaged ({fault})"
    if others:
        say(
            f"{damaged}, and {', '.join(map(repr, others))} at work with it: this study goes on "
            "without it. Mend it later with: kerastudy doctor --fix"
        )
        return False
    old = make_optuna_anew(store)
    kept = "" if old is None else f"it is kept as {old.name}, and "
    say(
        f"{damaged}; {kept}made again from the record. That of other studies is made again by: "
        "kerastudy doctor --fix"
    )
    return True


def exported_names(store: Store) -> list[str]:
    """Returns the names of all studies in Optuna's storage."""
    return [study.study_name for study in open_optuna_storage(store).get_all_studies()]


def exported_study(store: Store, name: str) -> Study | None:
    """Returns a study of Optuna's storage, or None if there is none of this name."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return optuna.load_study(study_name=name, storage=open_optuna_storage(store))
    except KeyError:
        return None


def remove_exported(store: Store, name: str) -> None:
    """Removes a study from Optuna's storage."""
    import optuna

    optuna.delete_study(study_name=name, storage=open_optuna_storage(store))


def agreement(study: Study, finished: Sequence[TrialRecord], values_of: ValuesOf) -> Stored | None:
    """Returns the trials that Optuna's storage has of a study, by number, if the record agrees.

    Args:
        study: The study there.
        finished: The record's finished trials, by number.
        values_of: Reads the values of a stored trial.

    Returns:
        Those of the record's trials that are stored; None if one differs or is not in the record.
    """
    try:
        stored = study.get_trials(deepcopy=False)
    except Exception:
        # What is damaged within a field, and so passes SQLite's own check.
        return None
    # With several workers, trials are stored in the order in which they ended.
    by_run = {record.run_id: record for record in finished}
    runs = [trial.user_attrs.get(RUN) for trial in stored]
    if None in runs:
        # Stored before runs were noted with each: in the order of the record.
        records = list(finished[: len(stored)])
    else:
        records = [by_run[run] for run in dict.fromkeys(runs) if run in by_run]
    if len(records) < len(stored):
        return None
    pairs = list(zip(stored, records, strict=True))
    if not all(_agrees(trial, record, values_of) for trial, record in pairs):
        return None
    return {record.number: trial for trial, record in pairs}


def _rows(trial: FrozenTrial, models: Any) -> dict[Any, list[dict[str, Any]]]:
    """Returns what Optuna keeps of a trial, by table, without the trial's id."""
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
        models.TrialSystemAttributeModel: attributes(trial.system_attrs),
    }


def _agrees(trial: FrozenTrial, record: TrialRecord, values_of: ValuesOf) -> bool:
    try:
        values = values_of(trial)
    except (SearchSpaceError, KeyError, ValueError, TypeError):
        return False
    value = None if record.best is None else record.best.value
    return (
        trial.state == exported_state(record.state)
        and (trial.values or [None]) == [value]
        and dict(values) == dict(record.spec.values)
        and trial.user_attrs.items() >= record.attributes.items()
    )
