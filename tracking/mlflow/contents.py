"""The content of MLflow's runs: params, metrics, tags and data sets."""

from __future__ import annotations

import contextlib
import getpass
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from search_spaces import complete
from tracking.mlflow import tags
from tracking.mlflow.names import spell, to_mlflow
from tracking.records import Objective, StudyDescription, TrialResult, TrialSpec

if TYPE_CHECKING:
    from mlflow.entities import Param


def dataset_inputs(description: StudyDescription) -> list[Any]:
    """Returns the data set for MLflow to show among a run's inputs."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    data = description.data
    if not data.digest:
        # An objective function loads its own.
        return []
    source = json.dumps({"source": data.source}, ensure_ascii=False)
    profile = json.dumps({"sizes": dict(data.sizes), **data.details}, ensure_ascii=False)
    return [
        DatasetInput(
            # MLflow's digests have at most 36 characters; the whole one is in the tags.
            Dataset(data.name, data.digests[part][:36], "local", source, None, profile),
            [InputTag("mlflow.data.context", context)],
        )
        for part, context in (("train", "training"), ("validation", "validation"))
    ]


def params_of(values: Mapping[str, Any]) -> list[Param]:
    """Returns values as MLflow's params."""
    from mlflow.entities import Param

    return [Param(to_mlflow(name), spell(value)) for name, value in values.items()]


def hyperparameters(description: StudyDescription, spec: TrialSpec) -> dict[str, Any]:
    """Returns the params of a trial's run: all that its builder reads."""
    extra = {"epochs": spec.epochs, "batch_size": spec.batch_size}
    if description.objective_function:
        # It decides on both itself.
        extra = {}
    space, values = description.space, spec.values
    if description.discovered and not space.contains(values):
        # Hyperparameters joined the space after the trial began.
        values = complete(space, values)
    return {**extra, **space.resolve(values)}


def settings(description: StudyDescription) -> dict[str, Any]:
    """Returns the params of a study's parent run."""
    weights = description.class_weight
    return {
        "engine": description.engine,
        "pruner": description.pruner,
        "objective": f"{description.objective.direction} {description.objective.metric}",
        **(
            {"objective_function": description.objective_function}
            if description.objective_function
            else {"epochs": description.epochs, "batch_size": description.batch_size}
        ),
        "seed": description.seed,
        "threads": description.threads,
        **({} if weights is None else {"class_weight": spell(weights)[: tags.LONGEST]}),
    }


def origin_tags(description: StudyDescription) -> dict[str, str]:
    """Returns the tags that MLflow shows as a run's source and author."""
    found = {}
    if description.code.path:
        found = {tags.SOURCE: description.code.path, tags.SOURCE_TYPE: "LOCAL"}
    # A user may have no name, as in many containers.
    with contextlib.suppress(OSError, KeyError):
        found[tags.USER] = getpass.getuser()
    return found


def result_metrics(result: TrialResult, objective: Objective) -> dict[str, float]:
    """Returns the metrics of a trial as a whole, by the names that they have at MLflow.

    Those of its cost are "system metrics", which the UI shows on another page: a bar for each
    would stand among the curves.
    """
    found: dict[str, float] = {"system/seconds": result.seconds}
    if result.peak_memory_bytes:
        found["system/peak_memory_bytes"] = result.peak_memory_bytes
    if result.model_parameters:
        found["system/model_parameters"] = result.model_parameters
    if result.best is not None:
        # "Latest" in the UI is the last epoch: the best needs a name of its own.
        name = f"best_{objective.metric}"
        found[name] = result.best.value
        if result.spread is not None:
            found[f"{name}_std"] = result.spread
    return found


def result_tags(result: TrialResult) -> dict[str, str]:
    """Returns the tags of a trial that has ended; those without text are left out."""
    found = {
        tags.STATE: result.state,
        tags.BEST_EPOCH: ""
        if result.best is None or result.of_no_epoch
        else str(result.best.epoch),
        tags.REASON: result.reason[: tags.LONGEST],
        tags.TRAINER: result.trainer,
        **_noted(result),
    }
    return {name: text for name, text in found.items() if text}


def _noted(result: TrialResult) -> dict[str, str]:
    """Returns what an objective function noted, for people to see."""
    return {
        to_mlflow(f"user_attrs.{key}"): spell(value)[: tags.LONGEST]
        for key, value in result.user_attrs.items()
    }
