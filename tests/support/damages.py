"""The ways in which a store is damaged: each returns the kind of what is found then."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

import numpy as np
from damage import cut_short, flip_byte
from doctored import history_of

from studies.doctor import diagnose
from studies.training import TrainingState, write_state
from tracking.store import Store, one_before


def facts_gone(store: Store) -> str:
    (store.root / "store.json").unlink()
    return "store"


def facts_damaged(store: Store) -> str:
    cut_short(store.root / "store.json")
    return "store"


def left_running(store: Store) -> str:
    """As a killed process leaves its study and a trial."""
    history = history_of(store)
    path, uuid = history.folder / "journal.db", history.top(6)[-1].uuid
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE searches SET status = 'RUNNING'")
        for table, result in (("trials", "NULL"), ("fits", "result")):
            database.execute(
                f"UPDATE {table} SET state = 'running', result = {result}, ended = 0 "
                "WHERE uuid = ?",
                (uuid,),
            )
    return "running"


def half_deleted(store: Store) -> str:
    # Its process was killed between the two renames.
    folder = store.root / "another"
    shutil.copytree(history_of(store).folder, folder)
    (folder / "journal.db").rename(folder / "deleted.db")
    return "leftover"


def state_damaged(store: Store) -> str:
    history = history_of(store)
    path = history.files.state(2)
    arrays = [np.full(8, 7.5, np.float32)]
    write_state(path, TrainingState("x", [{"loss": 1.0}], None, "", arrays, arrays))
    assert diagnose(store.root).findings == ()
    flip_byte(path, arrays[0].tobytes()[:-1])
    return "state"


def state_before_damaged(store: Store) -> str:
    path = history_of(store).files.state(2)
    written = _write_two_states(path)
    assert diagnose(store.root).findings == ()
    flip_byte(one_before(path), written)
    return "state"


def state_before_of_no_trial(store: Store) -> str:
    path = history_of(store).files.state(77)
    _write_two_states(path)
    path.unlink()
    return "orphan"


def _write_two_states(path: Path) -> bytes:
    """Writes a state and the one before; returns what bytes are in them."""
    arrays = [np.full(8, 7.5, np.float32)]
    for _ in range(2):
        write_state(path, TrainingState("x", [{"loss": 1.0}], None, "", arrays, arrays))
    return arrays[0].tobytes()[:-1]


def pieces(store: Store) -> str:
    folder = history_of(store).files.folder
    (folder / "partial-1-trial-00001.weights.h5").write_bytes(b"half")
    (store.root / "partial-1-store.json").write_bytes(b"{")
    return "leftover"


def orphans(store: Store) -> str:
    folder = history_of(store).files.folder
    for number in (77, 79):
        (folder / f"trial-{number:05}.weights.h5").write_bytes(b"of trial %d" % number)
    (folder / "trial-00078.scores.safetensors").write_bytes(b"of trial 78")
    return "orphan"
