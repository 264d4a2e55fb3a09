"""``kerastudy diagnose``, and the launch that follows: from the record to a real one."""

import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from handmade import code_of, record_study
from study_file import write_study
from user_commands import Answer, as_json, kerastudy_here

import kerastudy as ks

SPACE = ks.SearchSpace(ks.learning_rate(1e-3, 1.0))
OBJECTIVE = ks.Objective("val_accuracy", "max")


@pytest.fixture(scope="module")
def launched_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study file, and a store in which its best trials crowd at the upper end."""
    folder = tmp_path_factory.mktemp("diagnosed") / "a folder"
    file = write_study(folder)
    units = np.sqrt(np.random.default_rng(0).permutation(24) / 24)
    journal = record_study(
        folder / "my store",
        "blobs",
        [0.5 + 0.4 * float(unit) ** 2 for unit in units],
        [{"learning_rate": SPACE["learning_rate"].from_unit(float(unit))} for unit in units],
        space=SPACE,
        objective=OBJECTIVE,
        trials=24,
        epochs=2,
        code=code_of(file, "study", "blobs"),
        declared=["learning_rate"],
    )
    journal.end("FINISHED", "trials", "all 24 trials are done")
    journal.close()
    return folder


@pytest.fixture
def folder(launched_folder: Path, tmp_path: Path) -> Path:
    """A copy of the store, for a launch to write into. The study file stays where it is."""
    shutil.copytree(launched_folder / "my store", tmp_path / "my store")
    return tmp_path


def run(folder: Path, *arguments: str | Path, **variables: str) -> Answer:
    variables = {"KERASTUDY_STORE": str(folder / "my store"), "COLUMNS": "80", **variables}
    return kerastudy_here(folder, *arguments, **variables)


def document(folder: Path, *arguments: str) -> Any:
    answer = run(folder, "diagnose", "blobs", "--json", *arguments)
    assert answer.stderr == ""
    return as_json(answer)


def test_text_fits_80_columns_the_most_severe_first(launched_folder: Path) -> None:
    answer = run(launched_folder, "diagnose", "blobs")
    assert answer.stderr == ""
    lines = answer.stdout.splitlines()
    # Commands are on one line, to copy them.
    assert not [line for line in lines if len(line) > 80 and "kerastudy " not in line]
    words = [line.split()[0] for line in lines if line.startswith(("problem", "hint", "ok"))]
    assert words[0] == "problem" and words == sorted(words, key=["problem", "hint", "ok"].index)
    assert "learning_rate: the best trials crowd at its upper end" in answer.stdout
    assert "\x1b" not in answer.stdout
    reason = "too short: 3 complete trials of 4 epochs or more are needed; the study has none."
    assert reason in " ".join(answer.stdout.split())


def test_json_has_the_evidence(launched_folder: Path) -> None:
    diagnosis = document(launched_folder)
    first = diagnosis["findings"][0]
    assert (first["check"], first["parameter"]) == ("boundary", "learning_rate")
    assert first["evidence"]["of them at the end"] == first["evidence"]["best trials"] == 3
    assert {check["check"] for check in diagnosis["unchecked"]} >= {"too short", "isolation"}
    in_python = ks.diagnose("blobs", store=launched_folder / "my store")
    assert [f.title for f in in_python.findings] == [f["title"] for f in diagnosis["findings"]]
    assert "1 problem" in repr(in_python)
    of_results = ks.diagnose(ks.read_study("blobs", store=launched_folder / "my store"))
    assert of_results.next.space.to_dict() == diagnosis["next"]["space"]


def test_a_diagnosis_ends_with_the_launch_that_follows(launched_folder: Path, folder: Path) -> None:
    following = document(folder)["next"]
    assert (following["study"], following["settings"]) == ("blobs-2", {})
    assert following["reasons"][0]["changes"] == "learning_rate"
    assert run(folder, "diagnose", "blobs").stdout.splitlines()[-1].strip() == following["command"]
    command = shlex.split(following["command"])
    assert command[:3] == ["kerastudy", "launch", str(launched_folder / "study.py")]
    launching = ("--executor", "in-process", "--verify", "off", "--quiet", "--trials", "1")
    run(folder, *command[1:], *launching)
    second = ks.read_study("blobs-2", store=folder / "my store").description.space
    assert second.to_dict() == following["space"] and second["learning_rate"].high == 10.0
