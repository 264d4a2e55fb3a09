"""Options of `kerastudy launch` that say what is tuned."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from blobs import Launched, write_study
from user_commands import as_json, kerastudy_here

SPACE = """ks.SearchSpace(
        ks.learning_rate(1e-3, 1.0), ks.dropout(), ks.Choice("kind", ["a", "b"]), ks.l2()
    )"""
HERE = ("--json", "--verify", "off", "--executor", "in-process")
TAILORED = [
    "--only", "learning_rate,dropout", "--set", "kind=b", "--set", "dropout=0.1..0.3",
    "--start-with", "known values.json",
    "--engine", "keras-tuner:bayesian,num_initial_points=4,beta=3.0",
]  # fmt: skip


@pytest.mark.exhaustive
def test_a_launch_tunes_the_tailored_space_from_the_known_values(tmp_path: Path) -> None:
    """A dry run shows it; `show` tells why the study ended."""
    write_study(tmp_path, space=SPACE)
    known = [{"learning_rate": 0.5}, {"learning_rate": 0.01, "dropout": 0.3}]
    (tmp_path / "known values.json").write_text(json.dumps(known))
    launch = ("launch", "my_study.py", *HERE, *TAILORED)
    document = as_json(kerastudy_here(tmp_path, *launch, "--dry-run"))
    space = {p["name"]: p for p in document["space"]["parameters"]}
    assert (space["dropout"]["low"], space["dropout"]["high"]) == (0.1, 0.3)
    assert {n for n, p in space.items() if p["kind"] != "fixed"} == {"learning_rate", "dropout"}
    assert document["initial"][0]["learning_rate"] == 0.5
    assert document["initial"][0]["dropout"] == space["dropout"]["default"]
    assert document["engine"] == "keras-tuner:bayesian,beta=3.0,num_initial_points=4"
    assert not (tmp_path / "kerastudy-store").exists()
    top = as_json(kerastudy_here(tmp_path, *launch))["top"]
    params = [trial["params"] for trial in sorted(top, key=lambda trial: trial["trial"])]
    assert [each["learning_rate"] for each in params] == [0.001, 0.5, 0.01]
    assert [params[number]["dropout"] for number in (0, 2)] == [0.25, 0.3]
    assert all(each["kind"] == "b" and 0.1 <= each["dropout"] <= 0.3 for each in params)
    kerastudy_here(tmp_path, *launch, "--stop-at", "0.05", "--trials", "40")
    document = as_json(kerastudy_here(tmp_path, "show", "blobs", "--json"))
    assert (document["ended_by"], document["status"]) == ("stop_at", "FINISHED")
    assert document["stopped"].startswith("val_accuracy reached 0.05")
    assert document["trials"]["total"] == 3
    shown = kerastudy_here(tmp_path, "show", "blobs").stdout
    assert document["stopped"] in " ".join(shown.split())


def test_a_study_starts_with_the_best_of_another(launched: Launched) -> None:
    """`test_first_values` tests which values these are, and wrong sources."""
    words = ("--store", launched.store, "--name", "other", "--start-with", "study:blobs")
    planned = kerastudy_here(launched.folder, "launch", launched.file, *words, *HERE, "--dry-run")
    document = as_json(planned)
    assert document["initial"] == [trial["params"] for trial in launched.document["top"]]
    assert document["initial_from"] == "study:blobs"
    assert "starts with the best 3 of the study 'blobs'" in planned.stderr
