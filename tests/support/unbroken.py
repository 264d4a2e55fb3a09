"""What no study may have in its record, whatever has happened; read from its journal by SQL."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from scripted import loss
from study_record import folder_of

from tracking.records import FINISHED_STATES, TrialSpec, from_json


def broken(root: Path, name: str, expected: int) -> Iterator[str]:
    """Yields what is wrong with the record of a complete study of so many scripted trials."""
    journal = folder_of(root, name) / "journal.db"
    with contextlib.closing(sqlite3.connect(journal)) as database:
        trials = database.execute("SELECT number, spec ->> 'attempt', state FROM trials").fetchall()
        fits = database.execute("SELECT id, spec, state FROM fits WHERE trial != ''").fetchall()
        curves: dict[int, list[tuple[int, float]]] = defaultdict(list)
        for fit, epoch, metrics in database.execute(
            "SELECT fit, epoch, metrics FROM epochs ORDER BY id"
        ):
            curves[fit].append((epoch, json.loads(metrics)["val_loss"]))
    ended = Counter(number for number, _, state in trials if state in FINISHED_STATES)
    if sorted(ended.elements()) != list(range(expected)):
        yield f"trials with a result: {sorted(ended.elements())}"
    attempts = Counter((number, attempt) for number, attempt, _ in trials)
    for (number, attempt), count in attempts.items():
        if count > 1:
            yield f"attempt {attempt} at trial {number} is there {count} times"
    for fit, text, state in fits:
        spec = from_json(TrialSpec, text)
        epochs = [epoch for epoch, _ in curves[fit]]
        if epochs != list(range(1, len(epochs) + 1)):
            yield f"trial {spec.number} ({state}) has epochs {epochs}"
        wrong = [epoch for epoch, value in curves[fit] if value != loss(spec, epoch)]
        if wrong:
            yield f"trial {spec.number} ({state}) has other values in epochs {wrong}"
        if state == "complete" and len(epochs) != spec.epochs:
            yield f"trial {spec.number} is complete, after {len(epochs)} epochs"


def interrupted(root: Path) -> int:
    """Returns how many attempts and fits have no result, as something failed."""
    count = 0
    for journal in root.glob("*/journal.db"):
        with contextlib.closing(sqlite3.connect(journal)) as database:
            for table in ("trials", "fits"):
                query = f"SELECT count(*) FROM {table} WHERE state = 'interrupted'"
                count += database.execute(query).fetchone()[0]
    return count
