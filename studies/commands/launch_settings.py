"""What the options of ``kerastudy launch`` mean: checked, and as a study takes them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any


def ray_options(
    executor: str | None, address: str | None, cpus: float | None, gpus: float | None
) -> Any:
    """Returns the options of a Ray cluster; None if there are none."""
    from search_spaces.errors import StudyError
    from studies.executors.ray import RayOptions

    if executor != "ray" and (address, cpus, gpus) == (None, None, None):
        return None
    if executor != "ray":
        raise StudyError(
            "--address, --cpus-per-trial and --gpus-per-trial are those of a Ray cluster. Add "
            "--executor ray, or leave them out."
        )
    return RayOptions(address=address, cpus_per_trial=cpus, gpus_per_trial=gpus)


def check_column(column: str | None, data: Path | None) -> None:
    """Checks that a column to predict is one of a table. Raises StudyError if not."""
    from search_spaces.errors import StudyError
    from studies.data.tables.files import is_table

    if column is not None and (data is None or not is_table(str(data))):
        raise StudyError(
            f"--target {column!r} names the column to predict of a csv or parquet file: give it by "
            "--data. For a value at which the study ends, use --stop-at."
        )


def overrides_of(
    settings: dict[str, Any], keep: str | None, start_with: str | None
) -> dict[str, Any]:
    """Returns the settings to replace, by name. Raises StudyError where one can't be."""
    from studies.definition.settings import (
        OF_A_STUDY,
        check_count,
        check_engine,
        check_pruner,
        check_stop_at,
    )
    from studies.launching.starting_values import read_rows
    from tracking.store.names import check_study_name

    overrides = {name: value for name, value in settings.items() if value is not None}
    if "folds" in overrides:
        overrides["cross_validation"] = overrides.pop("folds")
    for name in ("trials", "epochs", "repeats", "patience"):
        if name in overrides:
            check_count(name, overrides[name])
    for name, check in (
        ("engine", check_engine),
        ("pruner", check_pruner),
        ("name", check_study_name),
    ):
        if name in overrides:
            overrides[name] = check(overrides[name])
    if "stop_at" in overrides:
        check_stop_at(overrides["stop_at"])
    if keep is not None:
        overrides["keep"] = _keep(keep)
    if start_with is not None:
        overrides["initial"] = start_with
        if not start_with.startswith(OF_A_STUDY):
            # At once, as loading the study takes seconds.
            read_rows(Path(start_with))
    return overrides


def seconds_of(name: str, text: str) -> float:
    """Returns the seconds of a time such as 1h30m. Raises StudyError if it is none."""
    from search_spaces.errors import StudyError

    try:
        seconds = float(text)
    except ValueError:
        # A dependency of MLflow, which the launch needs anyway.
        import pandas as pd

        try:
            seconds = pd.Timedelta(text).total_seconds()
        except ValueError:
            seconds = math.nan
    if not 0 < seconds < math.inf:
        raise StudyError(
            f"--{name} takes a time above 0, in seconds or such as 90s, 30m or 1h30m. "
            f"Received: {text!r}."
        )
    return seconds


def _keep(text: str) -> int | None:
    from search_spaces.errors import StudyError

    if text == "all":
        return None
    if text.isdigit() and int(text) >= 1:
        return int(text)
    raise StudyError(f"--keep takes a whole number of at least 1, or all. Received: {text!r}.")
