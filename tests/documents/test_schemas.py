"""The schemas in docs/schemas describe what `--json` prints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pages import ROOT
from user_commands import as_json, kerastudy_here, write_study

LAUNCH = ("--trials", "2", "--verify", "off", "--executor", "in-process")


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("schemas")
    write_study(folder)
    return folder, as_json(kerastudy_here(folder, "launch", "study.py", *LAUNCH, "--json"))


def check(document: Any, name: str) -> None:
    """Checks a document; and that the schema names all that it has."""
    schema = json.loads((ROOT / "docs" / "schemas" / f"{name}.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(document, schema, cls=jsonschema.Draft202012Validator)
    assert set(document) <= set(schema["properties"])


def test_of_a_study(launched: tuple[Path, Any]) -> None:
    check(launched[1], "study")


def test_of_a_trial(launched: tuple[Path, Any]) -> None:
    folder, study = launched
    number = str(study["best"]["trial"])
    check(
        as_json(kerastudy_here(folder, "show", study["study"], "--trial", number, "--json")),
        "trial",
    )
