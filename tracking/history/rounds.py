"""The rounds of a tuning: studies that follow each other, linked by tags of their parent runs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tracking import tags
from tracking.history.study_history import StudyHistory
from tracking.runs.parents import study_experiments
from tracking.runs.searching import search_runs
from tracking.store.folder import Store

if TYPE_CHECKING:
    from mlflow.entities import Run


@dataclass(frozen=True)
class RoundLink:
    """A round next to another one.

    Attributes:
        study: The study's present name.
        engine: Its engine.
        experiment_id: Its experiment.
        run_id: Its parent run.
        number: The round's number.
    """

    study: str
    engine: str
    experiment_id: str
    run_id: str
    number: int


@dataclass(frozen=True)
class Rounds:
    """Which round a study is, and the rounds next to it.

    Attributes:
        number: From 1. A study that was launched without ``--round`` is the first.
        first: The name of the first round's study; empty if it is this one, or is not known.
        before: The round before it, if it is still there.
        after: The round after it, likewise.
    """

    number: int = 1
    first: str = ""
    before: RoundLink | None = None
    after: RoundLink | None = None


@dataclass(frozen=True)
class LaunchedFile:
    """A study that was launched from a file.

    Attributes:
        study: Its present name.
        variable: The variable that holds it in the file.
        defined_name: Its name in the file.
    """

    study: str
    variable: str
    defined_name: str


def read_rounds(history: StudyHistory) -> Rounds:
    """Returns which round a study is."""
    store = history.store
    found = store.client.get_run(history.parent_run_id).data.tags
    number = tags.read_count(found.get(tags.ROUND), 1) or 1
    before = _link(store, found.get(tags.ROUND_OF, ""), number - 1)
    after = _link(store, found.get(tags.NEXT_ROUND, ""), number + 1)
    first, seen = before, {history.parent_run_id}
    while first is not None and first.run_id not in seen:
        seen.add(first.run_id)
        above = store.client.get_run(first.run_id).data.tags.get(tags.ROUND_OF, "")
        earlier = _link(store, above, first.number - 1)
        if earlier is None:
            break
        first = earlier
    return Rounds(number, "" if first is None else first.study, before, after)


def link_rounds(store: Store, before_run_id: str, run_id: str, number: int) -> bool:
    """Links the parent run of a round with that of the round before it; returns if it is new."""
    client = store.client
    wanted = {tags.ROUND: str(number), tags.ROUND_OF: before_run_id}
    found = client.get_run(run_id).data.tags
    changed = {name: text for name, text in wanted.items() if found.get(name) != text}
    for name, text in changed.items():
        client.set_tag(run_id, name, text)
    new: bool = client.get_run(before_run_id).data.tags.get(tags.NEXT_ROUND) != run_id
    if new:
        client.set_tag(before_run_id, tags.NEXT_ROUND, run_id)
    return bool(changed) or new


def launched_from(store: Store, path: str) -> list[LaunchedFile]:
    """Returns the first rounds of studies that were launched from a file, the latest first."""
    experiments = {each.experiment_id: each.name for each in study_experiments(store)}
    runs = search_runs(store.client, list(experiments), f"tags.`{tags.KIND}` = 'study'")
    found: dict[str, LaunchedFile] = {}
    for run in reversed(runs):
        code = _code_of(run)
        if code.get("path") == path and not run.data.tags.get(tags.ROUND_OF):
            name = experiments[run.info.experiment_id]
            variable, own = str(code.get("variable", "")), str(code.get("study_name", ""))
            found.setdefault(name, LaunchedFile(name, variable, own or name))
    return list(found.values())


def _code_of(run: Run) -> dict[str, object]:
    try:
        code = json.loads(tags.join_text(run.data.tags, tags.DEFINITION) or "{}").get("code", {})
    except (ValueError, AttributeError):
        # Damaged; `kerastudy doctor` says so.
        return {}
    return code if isinstance(code, dict) else {}


def _link(store: Store, run_id: str, number: int) -> RoundLink | None:
    """Returns a round by its parent run; None if that was deleted."""
    from mlflow.exceptions import MlflowException

    if not run_id:
        return None
    try:
        run = store.client.get_run(run_id)
        experiment = store.client.get_experiment(run.info.experiment_id)
    except MlflowException:
        return None
    if "deleted" in (run.info.lifecycle_stage, experiment.lifecycle_stage):
        return None
    engine = run.data.tags.get(tags.ENGINE, "")
    return RoundLink(experiment.name, engine, experiment.experiment_id, run_id, number)
