"""Reads the trials in the folder of a Keras Tuner project. Keras Tuner itself is not imported."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from search_spaces.errors import StudyError
from studies.known.results import Result, best_of
from tracking.records import Objective
from tracking.records.known import KnownSource


def keras_tuner_results(source: KnownSource, objective: Objective) -> Iterator[Result]:
    """Yields the results of a project's trials.

    Raises:
        StudyError: If the folder has none, or the metric has another direction.
    """
    folder = Path(source.place).expanduser()
    files = sorted(folder.glob("trial_*/trial.json")) or sorted(folder.glob("*/trial_*/trial.json"))
    if len({file.parent.parent for file in files}) > 1:
        projects = ", ".join(sorted({file.parent.parent.name for file in files}))
        raise StudyError(f"{source.place!r} has several projects: {projects}. Name one's folder.")
    if not files:
        raise StudyError(
            f"{source.place!r} is no folder of a Keras Tuner project: it has no "
            "trial_*/trial.json. Give the tuner's directory/project_name."
        )
    metric = source.metric or objective.metric
    for file in files:
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            yield _result(content, metric, objective)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            yield Result({}, None, "unreadable")


def _result(content: dict[str, Any], metric: str, objective: Objective) -> Result:
    given = content["hyperparameters"]["values"]
    values = {name: value for name, value in given.items() if not name.startswith("tuner/")}
    if content["status"] != "COMPLETED":
        return Result(values, None, "failed")
    history = content["metrics"]["metrics"].get(metric)
    if history is None:
        return Result(values, None, f"without {metric}")
    if history["direction"] != objective.direction:
        raise StudyError(
            f"Keras Tuner went for {history['direction']} {metric}, and this study for "
            f"{objective.direction}: its values mean something else."
        )
    steps = [_mean(each["value"]) for each in history["observations"]]
    return Result(values, best_of(steps, objective.direction))


def _mean(values: Any) -> float:
    # Of several executions.
    return float(sum(values) / len(values)) if isinstance(values, list) else float(values)
