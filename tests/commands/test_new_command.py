"""`kerastudy new`: study files that launch as they are written."""

import ast
from pathlib import Path

import numpy as np
import pytest
from user_commands import as_json, kerastudy_here

LAUNCH = ("--trials", "1", "--epochs", "1", "--verify", "off", "--executor", "in-process")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data files, in a folder with a space."""
    folder = tmp_path_factory.mktemp("my data")
    random = np.random.default_rng(0)
    rows = ["area,city,price,sold,rooms"]
    for area in random.integers(40, 200, 60):
        city = "Oslo" if area % 3 else "Rome"
        rows.append(f"{area},{city},{area * 3.5},{'yes' if area > 100 else 'no'},{area % 4}")
    (folder / "the houses.csv").write_text("\n".join(rows), encoding="utf-8")
    (folder / "head.csv").write_text("a,b\n", encoding="utf-8")
    (folder / "one.csv").write_text("a\n1\n2\n", encoding="utf-8")
    (folder / "gaps.csv").write_text("a,b\n1,\n2,\n3,\n", encoding="utf-8")
    np.savez(folder / "numbers.npz", x_train=np.eye(4), y_train=np.arange(4))
    return folder


# A test of the catalog launches the file that is written without options.
# `test_tables_from_work` launches the file for a table.
@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("options", "objective"),
    [
        ((), "val_accuracy"),
        (("--data", "the houses.csv", "--target", "price"), "val_mean_absolute_error"),
        (("--from", "binary"), "val_loss"),
    ],
)
def test_a_new_file_launches(
    folder: Path, tmp_path: Path, options: tuple[str, ...], objective: str
) -> None:
    file = tmp_path / "my_study.py"
    kerastudy_here(folder, "new", file, *options)
    store = ("--store", tmp_path / "store")
    document = as_json(kerastudy_here(folder, "launch", file, *LAUNCH, *store, "--json"))
    assert document["study"] == "my study"
    assert document["objective"]["metric"] == objective
    assert document["trials"]["complete"] == 1


def test_a_copy_of_the_catalog_has_its_code_and_none_of_its_prose(folder: Path) -> None:
    kerastudy_here(folder, "new", "copy.py", "--from", "digits")
    text = (folder / "copy.py").read_text(encoding="utf-8")
    assert text.startswith("import keras\n")
    assert 'ks.Study(\n    "copy",\n    data=ks.datasets.digits(),' in text
    assert not any(word in text for word in ("notes", "What was found", "handwritten"))
    compile(text, "copy.py", "exec")


HOUSES = 'ks.datasets.table(\n    "the houses.csv",\n'


@pytest.mark.parametrize(
    ("options", "output"),
    [
        (["the houses.csv", "--target", "price"], "regression()"),
        (["the houses.csv", "--target", "sold"], "binary()"),
        (["the houses.csv", "--target", "rooms"], "classes(4)"),
    ],
)
def test_targets_are_taken_for_what_they_look_like(
    folder: Path, tmp_path: Path, options: list[str], output: str
) -> None:
    file = tmp_path / "study.py"
    document = as_json(kerastudy_here(folder, "new", file, "--data", *options, "--json"))
    assert document == {"file": str(file), "study": "study"}
    text = file.read_text(encoding="utf-8")
    ast.parse(text)
    assert f"output = ks.outputs.{output}\n" in text
    assert HOUSES in text


def test_a_folder_of_parts_is_read_as_it_is(folder: Path, tmp_path: Path) -> None:
    for part in ("train", "test"):
        for name in ("a", "b"):
            place = tmp_path / "the texts" / part / name
            place.mkdir(parents=True)
            (place / "1.txt").write_text("some words", encoding="utf-8")
    (tmp_path / "pyproject.toml").touch()
    answer = kerastudy_here(tmp_path, "new", "study.py", "--data", ".", expect=2)
    assert "'pyproject.toml'" in answer.last and "not samples" in answer.last
    kerastudy_here(tmp_path, "new", "study.py", "--data", "the texts")
    text = (tmp_path / "study.py").read_text(encoding="utf-8")
    assert 'data = ks.datasets.text("the texts")' in text
    assert "kerastudy predict study --input new_texts\n" in text
    assert "output = ks.outputs.binary()" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["there.py"], "exists already"),
        (["study.txt"], "study.py"),
        (["the houses.csv"], "such as the houses.py. Received: 'the houses.csv'. Name the data by"),
        (["nowhere/study.py"], "There is no folder"),
        (["s.py", "--data", "none.csv"], "There is no file 'none.csv'"),
        (["s.py", "--data", "head.csv", "--target", "a"], "head.csv' has no rows."),
        (["s.py", "--data", "the houses.csv", "--target", "prise"], "Did you mean 'price'?"),
        (["s.py", "--data", "one.csv", "--target", "a"], "no column besides the target 'a'"),
        (["s.py", "--data", "gaps.csv", "--target", "b"], "lacks the target 'b' in 3 of 3 rows"),
        (["s.py", "--data", "numbers.npz"], 'hand, with data = ks.datasets.npz("numbers.npz")'),
        (["s.py", "--data", "."], "my data0' has no subfolders"),
        (["s.py", "--data", "there.py"], "--data takes a csv or parquet file, or a folder"),
        (["s.py", "--from", "digit"], "digits"),
        (["s.py", "--target", "a"], "--data"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    folder: Path, arguments: list[str], message: str
) -> None:
    (folder / "there.py").write_text("mine", encoding="utf-8")
    answer = kerastudy_here(folder, "new", *arguments, expect=2)
    assert message in answer.stderr and answer.stderr.count("\n") == 1
    assert (folder / "there.py").read_text(encoding="utf-8") == "mine"
    assert not (folder / "s.py").exists()
