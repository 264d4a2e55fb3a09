"""The parent runs of studies, present or lost in MLflow.

In MLflow's UI, a study's experiment can be renamed, deleted and restored, and its runs and their
tags deleted. This module notices, so that such a study is not taken for a new one.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from search_spaces.errors import StoreError, StudyDeletedError
from tracking import tags
from tracking.runs.run_contents import definition_path
from tracking.store.folder import Store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Run

_IS_STUDY = f"tags.`{tags.KIND}` = 'study'"


def parent_name(study: str, engine: str) -> str:
    """Returns what a parent run is called."""
    return f"{study} ({engine})"


def parent_runs(store: Store, experiment_id: str) -> dict[str, Run]:
    """Returns the latest parent run of each engine of a study, by engine, the latest last."""
    runs = search_runs(store.client, experiment_id, _IS_STUDY)
    latest = {engine_of(store, run): run for run in runs}
    return dict(sorted(latest.items(), key=lambda item: _last_launch(item[1])))


def study_experiments(store: Store) -> list[Experiment]:
    """Returns MLflow's experiments of a store's studies, without deleted ones."""
    found = search_experiments(store.client)
    marked = {each.experiment_id for each in found if each.tags.get(tags.KIND) == "study"}
    # One whose tag was deleted in MLflow has a study's runs all the same.
    others = [each.experiment_id for each in found if each.experiment_id not in marked]
    marked |= {run.info.experiment_id for run in search_runs(store.client, others, _IS_STUDY)}
    return [each for each in found if each.experiment_id in marked]


def engine_of(store: Store, parent: Run) -> str:
    """Returns the engine of a parent run; from the definition, if the run's tag was deleted."""
    engine = parent.data.tags.get(tags.ENGINE) or _defined(store, parent, "engine")
    if not engine:
        raise StoreError(
            f"The tag {tags.ENGINE!r} of the run {parent.info.run_name!r} was deleted in MLflow, "
            f"and its definition can't be read. Set the tag again, on the run "
            f"{parent.info.run_id}, to the study's engine."
        )
    return engine


def renamed_from(store: Store, name: str) -> list[str]:
    """Returns the present names of studies that were launched under a name and renamed since."""
    found = []
    experiments = {each.experiment_id: each for each in study_experiments(store)}
    runs = search_runs(store.client, list(experiments), _IS_STUDY)
    launched = {(run.info.experiment_id, _defined(store, run, "name")) for run in runs}
    for identity, experiment in experiments.items():
        former = experiment.tags.get(tags.NAME) == name or (identity, name) in launched
        if former and experiment.name != name:
            found.append(str(experiment.name))
    return found


@dataclass(frozen=True)
class LostParent:
    """A parent run that finished trials belong to, and that was lost in MLflow."""

    run_id: str
    engine: str
    # ``"purged"`` (for ever), ``"deleted"`` (it can be restored) or ``"unmarked"`` (its identifying
    # tag was deleted).
    fault: Literal["purged", "deleted", "unmarked"]
    name: str = ""


def lost_parents(store: Store, experiment_id: str) -> list[LostParent]:
    """Returns the parent runs of a study's finished trials that were lost, the latest first."""
    found = search_runs(store.client, experiment_id, deleted=True)
    runs = {run.info.run_id: run for run in found}
    engines: dict[str, str] = {}
    for run in reversed(found):
        known = run.data.tags
        ended = known.get(tags.RESULT) is not None
        if ended and known.get(tags.STATE) != "interrupted" and tags.PARENT in known:
            engines.setdefault(known[tags.PARENT], known.get(tags.ENGINE, ""))
    lost = []
    for run_id, engine in engines.items():
        parent = runs.get(run_id)
        if parent is None:
            lost.append(LostParent(run_id, engine, "purged"))
        elif tags.PARENT in parent.data.tags:
            # A trial, above its repeats.
            continue
        elif parent.info.lifecycle_stage == "deleted":
            lost.append(LostParent(run_id, engine, "deleted", parent.info.run_name))
        elif parent.data.tags.get(tags.KIND) != "study":
            lost.append(LostParent(run_id, engine, "unmarked", parent.info.run_name))
    return lost


def check_parents(store: Store, experiment_id: str, engine: str) -> None:
    """Raises StudyDeletedError if a parent run of finished trials under an engine was lost."""
    lost = lost_parent(store, store.client.get_experiment(experiment_id), engine)
    if lost:
        raise StudyDeletedError(lost)


def deleted_trials(store: Store, experiment_id: str, parent_run_id: str) -> dict[int, str]:
    """Returns the trials whose runs were deleted in MLflow and can be restored: number to run."""
    condition = f"tags.`{tags.PARENT}` = '{parent_run_id}'"
    found = {}
    for run in search_runs(store.client, experiment_id, condition, deleted=True, present=False):
        number = run.data.tags.get(tags.NUMBER, "")
        if number.isdigit():
            found[int(number)] = run.info.run_id
    return found


def lost_parent(store: Store, experiment: Experiment, engine: str | None = None) -> str:
    """Returns how a parent run, of one engine or any, was lost, and what to do; or empty."""
    lost = lost_parents(store, experiment.experiment_id)
    for each in (each for each in lost if engine in (None, each.engine)):
        how = {
            "purged": "was purged from MLflow. Put mlflow.db back from a backup, or",
            "deleted": f"was deleted in MLflow. Restore it with: "
            f"{restore_run(store, each.run_id)} Or",
            "unmarked": f"has lost its tag {tags.KIND!r} in MLflow. Write it again with: "
            f"kerastudy doctor --fix --store {shlex.quote(str(store.root))} Or",
        }[each.fault]
        return (
            f"The run {each.name or each.run_id!r} of the study {experiment.name!r}, which its "
            f"trials belong to, {how} launch under another name with --name."
        )
    return ""


def in_trash(store: Store, experiment: Experiment) -> str:
    """Returns the message that a study was deleted in MLflow, a line for each thing to do."""
    return (
        f"The study {experiment.name!r} was deleted in MLflow, which keeps it and its name.\n"
        f"  restore it: {restore_experiment(store, experiment)}\n"
        f"  or purge it for ever: {purge_experiment(store, experiment)}\n"
        "  or launch under another name with --name"
    )


def restore_run(store: Store, run_id: str) -> str:
    """Returns the command that restores a run that was deleted in MLflow."""
    return f"{_uri(store)} mlflow runs restore --run-id {run_id}"


def restore_experiment(store: Store, experiment: Experiment) -> str:
    """Returns the command that restores an experiment that was deleted in MLflow."""
    return f"{_uri(store)} mlflow experiments restore --experiment-id {experiment.experiment_id}"


def purge_experiment(store: Store, experiment: Experiment) -> str:
    """Returns the command that removes a deleted study for ever.

    `mlflow gc` would remove everything else that is in the trash too.
    """
    name, root = shlex.quote(experiment.name), shlex.quote(str(store.root))
    return f"kerastudy delete {name} --store {root}"


def _uri(store: Store) -> str:
    return f"MLFLOW_TRACKING_URI={shlex.quote(store.mlflow_uri)}"


def _last_launch(run: Run) -> int:
    return int(run.data.tags.get(tags.LAUNCHED) or run.info.start_time)


def _defined(store: Store, parent: Run, field: str) -> str:
    """Returns a text of a study's definition: by the run's tags, or by the file; or empty."""
    for source in (_text_in_tags, _text_of_file):
        try:
            return str(json.loads(source(store, parent))[field])
        except (OSError, ValueError, KeyError, TypeError, StoreError):
            continue
    return ""


def _text_in_tags(_store: Store, parent: Run) -> str:
    return tags.join_text(parent.data.tags, tags.DEFINITION) or ""


def _text_of_file(store: Store, parent: Run) -> str:
    return definition_path(store, parent).read_text(encoding="utf-8")


_PAGE = 1000


def search_experiments(client: MlflowClient, *, deleted: bool = False) -> list[Experiment]:
    """Returns all experiments, or only those that were deleted."""
    from mlflow.entities import ViewType

    view = ViewType.DELETED_ONLY if deleted else ViewType.ACTIVE_ONLY
    return _all(lambda token: client.search_experiments(view, _PAGE, page_token=token))


def search_runs(
    client: MlflowClient,
    experiments: str | Sequence[str],
    condition: str = "",
    *,
    deleted: bool = False,
    present: bool = True,
) -> list[Run]:
    """Returns the runs of experiments in the order in which they were made.

    `condition` is a filter in MLflow's syntax.
    """
    from mlflow.entities import ViewType

    view = ViewType.ACTIVE_ONLY
    if deleted:
        view = ViewType.ALL if present else ViewType.DELETED_ONLY

    wanted = [experiments] if isinstance(experiments, str) else list(experiments)
    if not wanted:
        return []
    return _all(
        lambda token: client.search_runs(
            wanted,
            condition,
            run_view_type=view,
            order_by=["attributes.start_time ASC"],
            page_token=token,
            max_results=_PAGE,
        )
    )


def _all(page_at: Callable[[str | None], Any]) -> list[Any]:
    found: list[Any] = []
    token: str | None = None
    while True:
        page = page_at(token)
        found += page
        token = page.token
        if not token:
            return found
