"""Reads known results for a study: those that its space has a place for."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from search_spaces import SearchSpace
from search_spaces.errors import SearchSpaceError, StudyError
from search_spaces.inline.translations import value_meant
from search_spaces.parameters.scalars import NOT_GIVEN, canonical_json
from search_spaces.spellings import read_value
from studies.known.of_keras_tuner import keras_tuner_results
from studies.known.of_mlflow import mlflow_results
from studies.known.of_optuna import optuna_results
from tracking.records import Objective
from tracking.records.known import KnownResults, KnownSource

_READERS = {
    "optuna": optuna_results,
    "mlflow": mlflow_results,
    "keras_tuner": keras_tuner_results,
}


class _Fitting(NamedTuple):
    values: dict[str, Any] | None
    reason: str = ""


def read_known(source: KnownSource, space: SearchSpace, objective: Objective) -> KnownResults:
    """Reads known results.

    Of several results of the same values, the best counts. Results that a study of this space could
    not have are left out, and counted.

    Raises:
        StudyError: If there are none to read, or they are of another direction.
    """
    best: dict[str, tuple[dict[str, Any], float]] = {}
    left_out: Counter[str] = Counter()
    for result in _READERS[source.kind](source, objective):
        value = result.objective
        if value is None or not math.isfinite(value):
            left_out[result.reason or "without a value"] += 1
            continue
        values, reason = fitting(space, _searched(result.values, source, space))
        if values is None:
            left_out[reason] += 1
            continue
        spelled = canonical_json(values)
        before = best.get(spelled)
        if before is not None:
            left_out["of the same values"] += 1
        if before is None or objective.is_better(value, before[1]):
            best[spelled] = values, value
    if not best and not left_out:
        raise StudyError(f"There are no results at {source.origin}.")
    found = list(best.values())
    return KnownResults(
        source,
        tuple(values for values, _ in found),
        tuple(value for _, value in found),
        dict(sorted(left_out.items())),
    )


def fitting(space: SearchSpace, given: Mapping[str, Any]) -> _Fitting:
    """Returns values as the space has them, or None and why they are left out."""
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in space:
            return _Fitting(None, "of other hyperparameters")
        parameter = space[name]
        meant = value_meant(parameter, value)
        if meant is NOT_GIVEN and isinstance(value, str):
            try:
                meant = value_meant(parameter, read_value(parameter, value))
            except SearchSpaceError:
                meant = NOT_GIVEN
        if meant is NOT_GIVEN:
            return _Fitting(None, "outside the space")
        values[name] = meant
    for name in space.active(values):
        if name not in values:
            if space[name].role != "fixed":
                return _Fitting(None, "of other hyperparameters")
            values[name] = space[name].default
    active = space.active(values)
    # Keras Tuner keeps values of hyperparameters that are not active.
    values = {name: values[name] for name in space.names if name in active}
    return _Fitting(values) if space.contains(values) else _Fitting(None, "outside the space")


def _searched(
    values: Mapping[str, Any], source: KnownSource, space: SearchSpace
) -> Mapping[str, Any]:
    """Returns the hyperparameters of a result. MLflow's params may be anything."""
    if source.kind != "mlflow":
        return values
    return {name: value for name, value in values.items() if name in space}


def all_known(
    sources: Iterable[KnownSource], space: SearchSpace, objective: Objective
) -> tuple[KnownResults, ...]:
    """Reads the known results of several sources; see `read_known`."""
    return tuple(read_known(source, space, objective) for source in sources)
