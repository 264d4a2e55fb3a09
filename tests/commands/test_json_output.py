"""``--json``: one document on standard output, and nothing else there."""

from __future__ import annotations

import json
import math
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from blobs import Launched
from stores import history_at
from user_commands import Answer, kerastudy_here


def document(told: Answer) -> Any:
    """Reads standard output as one JSON document, as strictly as a parser can."""

    def no_constant(text: str) -> None:
        raise ValueError(f"{text} is no JSON")

    return json.loads(told.stdout, parse_constant=no_constant)


@pytest.fixture(scope="module")
def shown(launched: Launched) -> Any:
    told = kerastudy_here(launched.folder, "show", "blobs", "--json", "--store", launched.store)
    return document(told)


def test_show_has_what_the_issue_lists(launched: Launched, shown: Any) -> None:
    assert shown["study"] == "blobs"
    assert shown["engine"] == "optuna:tpe"
    assert shown["objective"] == {"metric": "val_accuracy", "direction": "max"}
    counts = {"complete": 3, "pruned": 0, "infeasible": 0, "running": 0, "total": 3}
    assert counts.items() <= shown["trials"].items()
    best = shown["best"]
    assert {
        "trial",
        "value",
        "epoch",
        "params",
        "seed",
        "uuid",
        "checkpoint",
        "model_uri",
    } <= set(best)
    assert best["trial"] in range(3)
    assert best["epoch"] in (1, 2)
    assert 2**27 < best["peak_memory_bytes"] < 2**34
    assert 0 <= best["value"] <= 1
    assert best["params"].keys() == {"learning_rate"}
    assert best["model_uri"] == "models:/blobs@champion"
    checkpoint = Path(best["checkpoint"])
    assert checkpoint.is_file()
    assert checkpoint.is_relative_to(launched.store)


def test_show_says_what_is_recorded(launched: Launched, shown: Any) -> None:
    best = history_at(launched.store, "blobs").best
    assert best is not None
    assert best.best is not None
    assert shown["best"]["trial"] == best.number
    assert shown["best"]["value"] == best.best.value
    assert shown["best"]["epoch"] == best.best.epoch
    assert shown["best"]["params"] == best.spec.values
    assert shown["best"]["seed"] == best.spec.seed
    assert shown["best"]["uuid"] == best.uuid
    with closing(sqlite3.connect(launched.store / "blobs" / "journal.db")) as journal:
        (row,) = journal.execute("SELECT spec, result FROM trials WHERE uuid = ?", (best.uuid,))
    spec, result = map(json.loads, row)
    assert spec["values"] == shown["best"]["params"]
    assert result["best"]["value"] == shown["best"]["value"]


def test_the_best_is_the_best_of_all_epochs(launched: Launched, shown: Any) -> None:
    history = history_at(launched.store, "blobs")
    values = [
        (-metrics["val_accuracy"], epoch, trial.number)
        for trial in history.trials
        for epoch, metrics in history.curve(trial).items()
    ]
    assert len(values) == 6
    value, epoch, number = min(values)
    found = (-shown["best"]["value"], shown["best"]["epoch"], shown["best"]["trial"])
    assert found == (value, epoch, number)


def test_launch_shows_what_show_shows(launched: Launched, shown: Any) -> None:
    assert document(launched.told) == shown


def test_progress_is_not_on_standard_output(launched: Launched) -> None:
    """It is on standard error: plain lines, as there is no terminal. So is what a study prints."""
    assert "printed by the study file\n" in launched.told.stderr
    assert "3 trials" in launched.told.stderr
    assert "\x1b" not in launched.told.stderr


def test_launching_a_finished_study_runs_nothing(launched: Launched, copied_store: Path) -> None:
    told = kerastudy_here(
        launched.folder,
        *("launch", launched.file, "--store", copied_store, "--executor", "in-process", "--json"),
        *("--verify", "off"),
    )
    again, before = document(told), document(launched.told)
    assert again["trials"] == before["trials"]
    assert again["best"]["uuid"] == before["best"]["uuid"]


def test_list_names_the_studies(launched: Launched, shown: Any) -> None:
    told = kerastudy_here(launched.folder, "list", "--json", KERASTUDY_STORE=str(launched.store))
    (study,) = document(told)
    assert study["study"] == "blobs"
    assert study["trials"] == 3
    assert study["best"] == shown["best"]["value"]


def test_list_without_a_store_is_empty(tmp_path: Path) -> None:
    told = kerastudy_here(tmp_path, "list", "--json")
    assert document(told) == []


def test_list_has_the_catalog(tmp_path: Path) -> None:
    told = kerastudy_here(tmp_path, "list", "--catalog", "--json")
    assert "digits" in document(told)


def test_the_text_for_people_has_the_commands(launched: Launched, shown: Any) -> None:
    told = kerastudy_here(launched.folder, "show", "blobs", "--store", launched.store)
    assert f"trial {shown['best']['trial']}: val_accuracy" in told.stdout
    assert shown["best"]["checkpoint"] in told.stdout
    assert "kerastudy ui blobs" in told.stdout
    assert f"kerastudy reproduce blobs --trial {shown['best']['trial']}" in told.stdout
    assert math.isfinite(shown["best"]["value"])
