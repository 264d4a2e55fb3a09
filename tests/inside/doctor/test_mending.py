"""Damaged stores: what is said of them, how they are mended, and that studies then go on."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from damages import (
    facts_damaged,
    facts_gone,
    half_deleted,
    left_running,
    orphans,
    pieces,
    state_before_damaged,
    state_before_of_no_trial,
    state_damaged,
)
from doctored import Said, kinds, launch, outcome
from handmade import contents
from suite import exhaustive_but

from studies.doctor import diagnose
from tracking.store import Store


def test_of_a_sound_store_nothing_is_said_and_nothing_is_changed(store: Store) -> None:
    before = contents(store.root)
    assert diagnose(store.root).findings == ()
    assert contents(store.root) == before
    diagnosis = diagnose(store.root, fix=True)
    assert diagnosis.findings == () and diagnosis.at_work == {}


DAMAGES = [
    facts_gone, facts_damaged, left_running, half_deleted, state_damaged, state_before_damaged,
    state_before_of_no_trial, pieces, orphans,
]  # fmt: skip


# The others are damages of the same kinds.
KEPT = [facts_damaged, left_running, half_deleted, state_damaged]


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
    # In the journal it is noted that the study has ended.
    lost = {name for name, digest in damaged.items() if digest not in kept} - {"store.json"}
    wanted = {"scripted/journal.db"} if damage is left_running else set()
    assert {name for name in lost if "partial-" not in name and "deleted-" not in name} <= wanted
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
    assert outcome(launch(moved, trials=9)) == undisturbed
