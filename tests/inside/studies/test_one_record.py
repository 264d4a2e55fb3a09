"""A trial leaves the same record whichever engine proposed it."""

from __future__ import annotations

from pathlib import Path

from scripted import ScriptedExecutor, describe, run_study
from study_record import differences, read_record

KNOWN = (
    {"rate": 0.01, "units": 32, "kind": "a"},
    {"rate": 0.05, "units": 8, "kind": "b", "momentum": 0.5},
    {"rate": 0.0002, "units": 64, "kind": "b", "momentum": 0.0},
)


def test_the_same_values_leave_the_same_record(tmp_path: Path) -> None:
    records = []
    for engine in ("optuna:tpe", "keras-tuner:bayesian"):
        description = describe(engine=engine, trials=3, initial=KNOWN)
        run_study(ScriptedExecutor(description), store=tmp_path)
        records.append(read_record(tmp_path, "scripted", engine))
    one, other = records
    assert len(one["trials"]) == 3
    for part in ("study", "trials", "files"):
        found = differences(one[part], other[part])
        assert not [each for each in found if "/engine_state" not in each]
