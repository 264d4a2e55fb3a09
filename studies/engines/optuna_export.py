"""A study's finished trials in Optuna's own storage, for its dashboard and its API.

Written when a trial has ended, in one transaction, and never read as the truth: what differs
from the record is written anew from it. Nothing can be left RUNNING there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from search_spaces import SearchSpaceError
from studies.engines.optuna_parts import optuna_state
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

        optuna.delete_study(study_name=self._name, storage=self._storage)
        self._study = optuna.create_study(
            study_name=self._name, storage=self._storage, direction=self._direction
        )
        return {}

    def add(self, trial: FrozenTrial) -> None:
        """Adds a finished trial."""
        self._study.add_trial(trial)


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
        trial.state == optuna_state(record.state)
        and (trial.values or [None]) == [value]
        and dict(values) == dict(record.spec.values)
    )
