"""Runs and definitions that can't be read, or are gone."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from doctored import CODE, TEXT, history_of, launch
from handmade import contents

from search_spaces import StoreError
from studies.doctor import diagnose
from tracking import tags
from tracking.runs import code_path, definition_path
from tracking.store import Store


def test_a_run_that_cannot_be_read_is_said(store: Store) -> None:
    trial = history_of(store).trials[3]
    store.client.set_tag(trial.run_id, tags.RESULT, '{"number": 3, "st')
    (finding,) = diagnose(store.root, fix=True).left
    assert (finding.kind, finding.run) == ("record", trial.run_id)
    with pytest.raises(StoreError, match=f"{trial.run_id}.*kerastudy doctor"):
        history_of(store)


def test_a_deleted_run_is_said_with_how_to_restore_it(store: Store) -> None:
    run_id = history_of(store).trials[2].run_id
    store.client.delete_run(run_id)
    findings = [f for f in diagnose(store.root, fix=True).left if f.kind == "record"]
    assert [(f.trial, f.run) for f in findings] == [(2, run_id)]
    assert f"mlflow runs restore --run-id {run_id}" in findings[0].how
    store.client.restore_run(run_id)
    assert diagnose(store.root).findings == ()


def test_what_was_deleted_in_mlflow_is_no_orphan(store: Store) -> None:
    """It can be restored there, and then needs its files."""
    experiment = history_of(store).experiment_id
    store.client.delete_experiment(experiment)
    before = contents(store.root)
    assert diagnose(store.root, fix=True).findings == ()
    assert contents(store.root) == before
    store.client.restore_experiment(experiment)
    assert diagnose(store.root).findings == ()


def test_a_definition_that_only_its_file_had_is_said_with_what_is_lost(store: Store) -> None:
    history = history_of(store)
    parent = store.client.get_run(history.parent_run_id)
    for name in [name for name in parent.data.tags if name.startswith(tags.DEFINITION)]:
        store.client.delete_tag(parent.info.run_id, name)
    assert diagnose(store.root).findings == ()
    definition_path(store, parent).unlink()
    (finding,) = diagnose(store.root, fix=True).left
    assert finding.kind == "definition" and "Lost are the space" in finding.how


def test_the_text_of_a_study_file_is_written_again_from_the_file(
    store: Store, tmp_path: Path
) -> None:
    parent = store.client.get_run(history_of(store).parent_run_id)
    path = code_path(store, parent, CODE.digest)
    path.write_text("other text")
    (finding,) = diagnose(store.root, fix=True).left
    assert (finding.kind, finding.path) == ("code", str(path))
    file = tmp_path / "study.py"
    file.write_text(TEXT)
    launch(store.root, trials=6, code=dataclasses.replace(CODE, path=str(file), source=""))
    assert diagnose(store.root, fix=True).left == []
    assert path.read_text() == TEXT
