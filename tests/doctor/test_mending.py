"""Damaged stores: what is said of them, how they are mended, and that studies then go on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from damages import (
    definition_changed,
    definition_cut,
    definition_gone,
    experiment_empty,
    facts_damaged,
    facts_gone,
    left_running,
    of_a_given_up_definition_left_running,
    orphans,
    parent_unmade,
    pieces,
    state_before_damaged,
    state_before_of_no_trial,
    state_damaged,
)
from doctored import Said, history_of, kinds, launch, outcome
from handmade import contents
from suite import exhaustive_but
from tracking.runs import definition_path

from studies.doctor import diagnose
from tracking.store import Store, open_store


def test_of_a_sound_store_nothing_is_said_and_nothing_is_changed(store: Store) -> None:
    before = contents(store.root)
    assert diagnose(store.root).findings == ()
    assert contents(store.root) == before
    diagnosis = diagnose(store.root, fix=True)
    assert diagnosis.findings == () and diagnosis.at_work == {}


DAMAGES = [
    facts_gone, facts_damaged, left_running,
    of_a_given_up_definition_left_running, parent_unmade, experiment_empty, definition_gone,
    definition_cut, definition_changed, state_damaged, state_before_damaged,
    state_before_of_no_trial, pieces, orphans,
]  # fmt: skip


# The others are damages of the same kinds.
KEPT = [facts_damaged, left_running, definition_changed, state_damaged]
# From the record, with all that is in them.
MADE_AGAIN = {"definition.json", "store.json"}


@pytest.mark.parametrize(
    "damage", exhaustive_but(KEPT, DAMAGES), ids=lambda damage: damage.__name__
)
def test_what_is_damaged_is_said_and_mended(
    store: Store, undisturbed: list[tuple], damage: Callable[[Store], str]
) -> None:
    kind = damage(store)
    damaged = contents(store.root)
    told = diagnose(store.root)
    assert kinds(told) == [kind]
    assert len(told.left) == len(told.findings)
    assert contents(store.root) == damaged, "looking changes nothing"
    mended = diagnose(store.root, fix=True)
    assert kinds(mended) == [kind]
    assert mended.left == []
    assert diagnose(store.root, fix=True).findings == ()
    kept = set(contents(store.root).values())
    lost = {Path(name).name for name, digest in damaged.items() if digest not in kept}
    assert {name for name in lost if not name.startswith(("partial-", "unfinished-"))} <= MADE_AGAIN
    said = Said()
    assert outcome(launch(store.root, said, trials=9)) == undisturbed
    assert not [line for line in said.lines if "damaged" in line]
    assert diagnose(store.root).findings == ()


def test_a_moved_store_without_its_facts_is_found_again(
    store: Store, undisturbed: list[tuple]
) -> None:
    facts_gone(store)
    moved = store.root.rename(store.root.parent / "moved")
    assert kinds(diagnose(moved)) == ["store"]
    assert diagnose(moved, fix=True).left == []
    assert json.loads((moved / "store.json").read_text())["path"] == str(moved)
    opened = open_store(moved)
    assert opened is not None
    run = opened.client.get_run(history_of(opened).parent_run_id)
    assert definition_path(opened, run).is_relative_to(moved)
    assert outcome(launch(moved, trials=9)) == undisturbed
