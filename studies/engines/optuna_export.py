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
from studies.engines.optuna_parts import exported_state
from tracking.mlflow_client import open_optuna_storage
from tracking.records import Objective, TrialRecord
from tracking.store import Store

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


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

    def matching(
        self,
        finished: Sequence[TrialRecord],
        values_of: Callable[[FrozenTrial], Mapping[str, Any]],
    ) -> dict[int, FrozenTrial]:
        """Returns the stored trials by number, as far as they agree with the record.

        If one does not, all are dropped from the storage, and none is returned.
        """
        stored = self._study.get_trials(deepcopy=False)
        agree = len(stored) <= len(finished) and all(
            _agrees(trial, record, values_of)
            for trial, record in zip(stored, finished, strict=False)
        )
        if agree:
            return {record.number: trial for trial, record in zip(stored, finished, strict=False)}
        import optuna

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
        except (ImportError, AttributeError, SQLAlchemyError):
            self._study.add_trial(trial)
        if self._count is not None:
            self._count += 1

    def _insert(self, trial: FrozenTrial) -> None:
        from optuna.storages._rdb import models

        with self._storage.engine.begin() as database:
            if self._count is None:
                counted = "SELECT count(*) FROM trials WHERE study_id = ?"
                study = (self._study._study_id,)
                self._count = database.exec_driver_sql(counted, study).scalar_one()
            row = {
                "study_id": self._study._study_id,
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


def _agrees(
    trial: FrozenTrial,
    record: TrialRecord,
    values_of: Callable[[FrozenTrial], Mapping[str, Any]],
) -> bool:
    try:
        values = values_of(trial)
    except SearchSpaceError:
        return False
    value = None if record.best is None else record.best.value
    return (
        trial.state == exported_state(record.state)
        and (trial.values or [None]) == [value]
        and dict(values) == dict(record.spec.values)
        and trial.user_attrs.items() >= record.attributes.items()
    )
