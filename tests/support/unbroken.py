"""What no study may have in its record, whatever has happened; read from MLflow's tables."""

from __future__ import annotations

import contextlib
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from scripted import loss

from tracking import join_text
from tracking.records import FINISHED_STATES, StudyDescription, TrialSpec


def broken(root: Path, description: StudyDescription) -> Iterator[str]:
    """Yields what is wrong with the record of a complete study of scripted trials."""
    with contextlib.closing(sqlite3.connect(root / "mlflow.db")) as database:
        tags: dict[str, dict[str, str]] = defaultdict(dict)
        for run_id, key, value in database.execute("SELECT run_uuid, key, value FROM tags"):
            tags[run_id][key] = value
        points = database.execute(
            "SELECT run_uuid, step, value FROM metrics WHERE key = 'val_loss' AND step > 0 "
            "ORDER BY run_uuid, step"
        ).fetchall()
    curves: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for run_id, step, value in points:
        curves[run_id].append((step, value))
    trials = {r: t for r, t in tags.items() if t.get("kerastudy.kind") == "trial"}
    specs = {r: _spec(t) for r, t in tags.items() if "mlflow.kerastudy.spec" in t}
    ended = Counter(
        specs[r].number for r, t in trials.items() if t["kerastudy.state"] in FINISHED_STATES
    )
    if sorted(ended.elements()) != list(range(description.trials)):
        yield f"trials with a result: {sorted(ended.elements())}"
    for (number, attempt), count in Counter(
        (specs[r].number, specs[r].attempt) for r in trials
    ).items():
        if count > 1:
            yield f"attempt {attempt} at trial {number} has {count} runs"
    for run_id, spec in specs.items():
        state, steps = tags[run_id]["kerastudy.state"], [step for step, _ in curves[run_id]]
        if steps != list(range(1, len(steps) + 1)):
            yield f"trial {spec.number} ({state}) has epochs {steps}"
        combined = run_id in trials and description.trainings > 1
        wrong = [s for s, value in curves[run_id] if not combined and value != loss(spec, s)]
        if wrong:
            yield f"trial {spec.number} ({state}) has other values in epochs {wrong}"
        whole = state == "complete" and (not combined or not description.folds)
        if whole and len(steps) != spec.epochs:
            yield f"trial {spec.number} is complete, after {len(steps)} epochs"


def _spec(tags: dict[str, str]) -> TrialSpec:
    text = join_text(tags, "mlflow.kerastudy.spec")
    assert text is not None
    return TrialSpec.from_json(text)


def interrupted(root: Path) -> int:
    """Returns how many runs have no result, as something failed."""
    with contextlib.closing(sqlite3.connect(root / "mlflow.db")) as database:
        found = database.execute(
            "SELECT count(*) FROM tags WHERE key = 'kerastudy.state' AND value = 'interrupted'"
        ).fetchone()[0]
    return int(found)
