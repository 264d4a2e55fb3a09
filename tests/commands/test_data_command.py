"""`kerastudy data`, and the warning of a launch whose data is badly off."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from user_commands import as_json, kerastudy_here

STUDY = """
import keras, numpy as np, kerastudy as ks

random = np.random.default_rng(0)
x = random.normal(size=(90, 3)).astype("float32")
y = np.arange(90) % 2
x[60:66] = x[:6]

def build(hp):
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2, "softmax")])
    model.compile(keras.optimizers.SGD(hp["learning_rate"]), "sparse_categorical_crossentropy",
                  metrics=["accuracy"])
    return model

study = ks.Study("leaking", build=build, space=ks.SearchSpace(ks.learning_rate()), epochs=1,
                 trials=1, objective="val_accuracy",
                 data=ks.datasets.arrays(x[:60], y[:60], validation=(x[60:], y[60:]), test=None))
"""
WARNING = "6 of 30 (20 %) validation samples are training samples too"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("a folder")
    (folder / "leaking.py").write_text(STUDY, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def launched(folder: Path) -> subprocess.CompletedProcess[str]:
    return kerastudy_here(
        *(folder, "launch", "leaking.py", "--executor", "in-process", "--verify", "off"),
        "--no-report",
    )


def test_it_prints_what_it_found_in_80_columns(folder: Path, tmp_path: Path) -> None:
    told = kerastudy_here(folder, "data", "leaking.py", "--store", tmp_path / "s", COLUMNS="80")
    lines = told.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[1] == "samples  train 60, validation 30"
    assert lines[3].startswith("found    1 problem, ")
    assert "problem  Samples of the validation part are in the training part too" in lines
    assert not (tmp_path / "s").exists()


def test_a_launch_warns_and_names_the_command(
    launched: subprocess.CompletedProcess[str],
) -> None:
    assert launched.stderr.count("warning: ") == 1
    warning = " ".join(launched.stderr.partition("warning: ")[2].split())
    assert warning.startswith(WARNING) and "Look at it: kerastudy data leaking.py" in warning


@pytest.mark.exhaustive
def test_the_report_has_what_was_found_without_the_data(
    folder: Path, launched: subprocess.CompletedProcess[str], tmp_path: Path
) -> None:
    shutil.copytree(folder / "kerastudy-store", tmp_path / "kerastudy-store")
    told = kerastudy_here(tmp_path, "report", "leaking", "--no-open")
    page = Path(told.stdout.strip())
    text = page.read_text(encoding="utf-8")
    assert "<h2>The data</h2>" in text and WARNING in text
    assert "kerastudy data " in text and "samples look alike" not in text
    # A closer look is recorded, and the page made again.
    (tmp_path / "leaking.py").write_text(STUDY, encoding="utf-8")
    found = as_json(kerastudy_here(tmp_path, "data", "leaking.py", "--json"))
    assert found["recorded"] == ["leaking"]
    assert found["findings"][0]["figures"]["samples"] == 6
    text = page.read_text(encoding="utf-8")
    assert "samples look alike" in text


def test_a_file_needs_no_study(folder: Path) -> None:
    rows = "".join(f"{area},{area % 2},{3 * area}\n" for area in range(200))
    (folder / "many.csv").write_text(f"area,garden,price\n{rows}", encoding="utf-8")
    found = as_json(kerastudy_here(folder, "data", "many.csv", "--target", "price", "--json"))
    assert found["recorded"] == []
    (folder / "my_study.py").write_text(
        "import kerastudy as ks\n"
        "study = ks.Study('rows', data=ks.datasets.table('many.csv', target='price'),"
        " build=lambda hp: None)\n"
    )
    assert found == as_json(kerastudy_here(folder, "data", "my_study.py", "--json"))


def test_what_a_user_can_get_wrong(folder: Path) -> None:
    told = kerastudy_here(folder, "data", "nowhere.py", expect=2)
    assert told.stderr.startswith("kerastudy: ") and told.stderr.count("\n") == 1
    column = ("--target", "price")
    told = kerastudy_here(folder, "data", "nowhere.csv", *column, expect=2)
    assert "There is no file" in told.stderr
    (folder / "houses.csv").write_text("area,price\n1,2\n", encoding="utf-8")
    assert "--target price" in kerastudy_here(folder, "data", "houses.csv", expect=2).stderr
    assert (
        "--target 'price' names"
        in kerastudy_here(folder, "data", "digits", *column, expect=2).stderr
    )
    output = ("--output", "no/such/folder.png")
    assert "no folder" in kerastudy_here(folder, "data", "digits", *output, expect=2).stderr
