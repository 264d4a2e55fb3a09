"""Damaged databases: the record is left as it is, and so is what was exported."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from damage import cut_short, tear_last_page, tear_pages
from doctored import history_of, kinds, launch, outcome
from handmade import contents

from search_spaces import StoreError
from studies.doctor import diagnose
from studies.exporting import export_optuna
from tracking.store import Store


@pytest.mark.parametrize("damage", [tear_pages, tear_last_page, cut_short, Path.unlink])
def test_a_damaged_record_is_left_as_it_is(store: Store, damage: Callable[[Path], None]) -> None:
    damage(store.root / "mlflow.db")
    before = contents(store.root)
    for fix in (False, True):
        told = diagnose(store.root, fix=fix)
        assert kinds(told) == ["database"] and told.left
        assert "backup" in told.findings[0].how and told.unread
    with pytest.raises(StoreError, match="kerastudy doctor"):
        launch(store.root, trials=9)
    assert contents(store.root) == before


def test_an_export_is_left_alone(store: Store, undisturbed: list[tuple]) -> None:
    """Damaged or not: neither a launch nor the doctor reads it."""
    export_optuna(history_of(store))
    tear_pages(store.root / "optuna.db")
    before = (store.root / "optuna.db").read_bytes()
    assert diagnose(store.root, fix=True).findings == ()
    assert outcome(launch(store.root, trials=9)) == undisturbed
    assert (store.root / "optuna.db").read_bytes() == before
