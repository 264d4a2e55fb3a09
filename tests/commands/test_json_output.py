"""``--json``: one document on standard output, and nothing else there."""

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from handmade import record_study
from study_file import Launched
from user_commands import as_json, kerastudy_here

SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"


@pytest.fixture(scope="module")
def study_document(blobs: Launched) -> Any:
    answer = kerastudy_here(blobs.folder, "show", "blobs", "--json", "--store", blobs.store)
    return as_json(answer)


def test_show_says_what_is_recorded(blobs: Launched, study_document: Any) -> None:
    """Plain SQL on the journal is the judge."""
    assert (study_document["study"], study_document["engine"]) == ("blobs", "optuna:tpe")
    assert study_document["objective"] == {"metric": "val_accuracy", "direction": "max"}
    counts = {"complete": 3, "pruned": 0, "infeasible": 0, "running": 0, "total": 3}
    assert counts.items() <= study_document["trials"].items()
    best = study_document["best"]
    with closing(sqlite3.connect(blobs.store / "blobs" / "journal.db")) as journal:
        epochs = journal.execute(
            "SELECT t.number, t.uuid, t.spec, e.epoch, e.metrics FROM epochs e "
            "JOIN fits f ON f.id = e.fit JOIN trials t ON t.uuid = f.trial"
        ).fetchall()
    assert len(epochs) == 6
    # The best epoch counts. Of equal ones, the earlier epoch and the earlier trial count.
    value, epoch, number, uuid, spec = min(
        (-json.loads(metrics)["val_accuracy"], epoch, number, uuid, spec)
        for number, uuid, spec, epoch, metrics in epochs
    )
    assert (best["value"], best["epoch"], best["trial"], best["uuid"]) == (
        -value, epoch, number, uuid,
    )  # fmt: skip
    spec = json.loads(spec)
    assert (best["params"], best["seed"]) == (spec["values"], spec["seed"])
    assert best["params"].keys() == {"learning_rate"}
    assert best["model_uri"] == "models:/blobs@champion"
    checkpoint = Path(best["checkpoint"])
    assert checkpoint.is_file() and checkpoint.is_relative_to(blobs.store)


def test_launch_shows_what_show_shows(blobs: Launched, study_document: Any) -> None:
    assert as_json(blobs.answer) == study_document


def test_progress_is_not_on_standard_output(blobs: Launched) -> None:
    """It is on standard error: plain lines, as there is no terminal. So is what a study prints."""
    assert "printed by the study file\n" in blobs.answer.stderr
    assert "3 trials" in blobs.answer.stderr
    assert "\x1b" not in blobs.answer.stderr


def test_list_names_the_studies(blobs: Launched, study_document: Any, tmp_path: Path) -> None:
    answer = kerastudy_here(blobs.folder, "list", "--json", KERASTUDY_STORE=str(blobs.store))
    (study,) = as_json(answer)
    assert (study["study"], study["trials"]) == ("blobs", 3)
    assert study["best"] == study_document["best"]["value"]
    assert as_json(kerastudy_here(tmp_path, "list", "--json")) == []
    assert "digits" in as_json(kerastudy_here(tmp_path, "list", "--catalog", "--json"))


def test_a_long_name_is_cut_with_a_sign_and_follows_in_full(tmp_path: Path) -> None:
    name = "churn_of_" + "customers_" * 9 + "in_spring"
    record_study(tmp_path / "store", name, [0.5])
    lines = kerastudy_here(tmp_path, "list", "--store", "store", COLUMNS="80").stdout.splitlines()
    assert lines[1].startswith("churn_of_customers_customers_custom…  ")
    assert lines[-2:] == ["in full:", name]
    assert max(map(len, lines[:-1])) <= 80


def test_the_text_for_people_has_the_commands(blobs: Launched, study_document: Any) -> None:
    answer = kerastudy_here(blobs.folder, "show", "blobs", "--store", blobs.store)
    assert f"trial {study_document['best']['trial']}: val_accuracy" in answer.stdout
    (checkpoint,) = re.findall(r"^checkpoint (.+)$", answer.stdout, re.MULTILINE)
    assert (blobs.folder / checkpoint).samefile(study_document["best"]["checkpoint"])
    assert len(checkpoint) < len(study_document["best"]["checkpoint"])  # It is relative.
    assert re.search(r"\d+/\d+ +champion|^state.* champion", answer.stdout, re.MULTILINE)
    assert "kerastudy ui blobs --store '" in answer.stdout
    # The interval of so few samples contains chance.
    assert "kerastudy data 'my studies/study.py'" in answer.stdout


def test_a_dry_run_has_the_first_values_of_another_studys_best_trials(blobs: Launched) -> None:
    """`test_first_values` tests which values these are, and wrong sources."""
    words = ("launch", blobs.file, "--store", blobs.store, "--name", "other", "--dry-run")
    options = ("--start-with", "study:blobs", "--executor", "in-process", "--json")
    planned = kerastudy_here(blobs.folder, *words, *options)
    document = as_json(planned)
    assert document["initial"] == [trial["params"] for trial in blobs.document["top"]]
    assert document["initial_from"] == "study:blobs"
    assert "starts with the best 3 of the study 'blobs'" in planned.stderr


def test_documents_are_as_their_schemas_say(blobs: Launched, study_document: Any) -> None:
    """The schemas name all that the documents have."""
    trial = ("show", "blobs", "--trial", "0", "--json", "--store", blobs.store)
    answer = kerastudy_here(blobs.folder, *trial)
    for name, document in {"study": study_document, "trial": as_json(answer)}.items():
        schema = json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8"))
        jsonschema.Draft202012Validator.check_schema(schema)
        jsonschema.validate(document, schema, cls=jsonschema.Draft202012Validator)
        assert set(document) <= set(schema["properties"])
