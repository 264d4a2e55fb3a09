"""Readings of sealed test parts, in the record: tags of a study's parent run."""

from __future__ import annotations

from collections.abc import Mapping

from tracking import tags
from tracking.history.study_history import StudyHistory
from tracking.records.checks import Evaluation
from tracking.runs.parents import search_experiments, search_runs
from tracking.store.folder import Store


def read_evaluations(history: StudyHistory) -> list[Evaluation]:
    """Returns the readings of a study's test part under one engine, the earliest first."""
    return _in_tags(history.store.client.get_run(history.parent_run_id).data.tags)


def evaluations_on(store: Store, digest: str) -> list[Evaluation]:
    """Returns all readings of a test part, by any study of a store, the earliest first.

    Deleted studies count too, until they are purged.

    Args:
        store: The store.
        digest: SHA-256 of the test part.
    """
    client = store.client
    experiments = [*search_experiments(client), *search_experiments(client, deleted=True)]
    identities = [each.experiment_id for each in experiments]
    runs = search_runs(client, identities, f"tags.`{tags.KIND}` = 'study'", deleted=True)
    found = [each for run in runs for each in _in_tags(run.data.tags) if each.digest == digest]
    return sorted(found, key=lambda each: each.time)


def record_evaluation(history: StudyHistory, evaluation: Evaluation) -> None:
    """Records a reading of a study's test part.

    Each has its own tag, as several processes may read at once.
    """
    client, key = history.store.client, f"{tags.EVALUATION}{evaluation.time}"
    for name, text in tags.split_text(key, evaluation.to_json()).items():
        client.set_tag(history.parent_run_id, name, text)


def _in_tags(found: Mapping[str, str]) -> list[Evaluation]:
    read = []
    for name in found:
        if name.startswith(tags.EVALUATION) and name.removeprefix(tags.EVALUATION).isdigit():
            try:
                read.append(Evaluation.from_json(tags.join_text(found, name) or ""))
            except (ValueError, KeyError, TypeError):
                # Changed in MLflow.
                continue
    return sorted(read, key=lambda each: each.time)
