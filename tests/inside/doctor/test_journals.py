"""Damaged journals are left as they are, and so is what was exported."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from damage import cut_short, tear_last_page, tear_pages
from doctored import CODE, history_of, kinds, launch, outcome
from handmade import contents

from search_spaces import StoreError
from studies.doctor import diagnose
from studies.exporting import export_optuna
from tracking.store import Store


@pytest.mark.parametrize("damage", [tear_pages, tear_last_page, cut_short])
def test_a_damaged_record_is_left_as_it_is(store: Store, damage: Callable[[Path], None]) -> None:
    """And the other studies are checked all the same."""
    launch(store.root, name="other", trials=2)
    damage(store.root / "scripted" / "journal.db")
    orphan = store.root / "other" / "checkpoints" / "optuna-tpe" / "trial-00077.weights.h5"
    orphan.write_bytes(b"of trial 77")
    before = contents(store.root / "scripted")
    told = diagnose(store.root, fix=True)
    assert kinds(told) == ["journal", "orphan"]
    (finding,) = told.left
    assert (finding.kind, finding.study) == ("journal", "scripted") and "backup" in finding.how
    with pytest.raises(StoreError, match="kerastudy doctor"):
        launch(store.root, trials=9)
    assert contents(store.root / "scripted").items() >= before.items()


def test_a_journal_of_a_newer_version_is_left_as_it_is(store: Store) -> None:
    path = store.root / "scripted" / "journal.db"
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version=99")
    before = contents(store.root)
    (finding,) = diagnose(store.root, fix=True).left
    assert finding.kind == "journal" and "newer kerastudy" in finding.what
    with pytest.raises(StoreError, match="newer kerastudy"):
        launch(store.root, trials=9)
    assert contents(store.root).items() >= before.items()


def test_code_whose_text_is_damaged_is_said(store: Store) -> None:
    path = store.root / "scripted" / "journal.db"
    for text, told in (("other text", "damaged"), (None, "missing")):
        with contextlib.closing(sqlite3.connect(path)) as database, database:
            if text is None:
                database.execute("DELETE FROM code")
            else:
                database.execute("UPDATE code SET content = ?", (text,))
        (finding,) = diagnose(store.root, fix=True).left
        assert finding.kind == "code" and told in finding.what and CODE.digest[:16] in finding.what


def test_two_studies_of_one_name_are_said(store: Store) -> None:
    shutil.copytree(store.root / "scripted", store.root / "a copy")
    (finding,) = diagnose(store.root, fix=True).left
    assert finding.kind == "name" and str(store.root / "a copy") in finding.what


def test_an_export_is_left_alone(store: Store, undisturbed: list[tuple]) -> None:
    """Damaged or not: neither a launch nor the doctor reads it."""
    export_optuna(history_of(store))
    tear_pages(store.root / "optuna.db")
    before = (store.root / "optuna.db").read_bytes()
    assert diagnose(store.root, fix=True).findings == ()
    assert outcome(launch(store.root, trials=9)) == undisturbed
    assert (store.root / "optuna.db").read_bytes() == before
