"""`kerastudy data`, and how a launch, the results and the report show grave flaws of data.

The 60 test samples of the study are its training samples. One of them is positive, and one of the
50 validation samples. So always answering 0 is right in 59 of 60 and 49 of 50.
"""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from in_mlflow import InMlflow
from stores import history_at
from study_file import study_text
from user_commands import Answer, as_json, kerastudy_here

STUDY = study_text(
    name='"flawed"',
    samples="""x = random.normal(size=(110, 3)).astype("float32")
y = np.zeros(110, "int64")
y[[7, 70]] = 1
train = (x[:60], y[:60])
""",
    returned="""model.layers[-1].set_weights([np.zeros((3, 2)), np.array([3.0, 0.0])])
    return model""",
    data="ks.datasets.arrays(*train, validation=(x[60:], y[60:]), test=train)",
    space="ks.SearchSpace(ks.learning_rate(1e-6, 1e-4))",
    trials="2",
    epochs="1",
)
FLAW = "All 60 test samples are training samples too: a model that only remembers gets them right"
HERE = ("--executor", "in-process")


def flat(text: str) -> str:
    return re.sub(r"\s+", " ", text)


@pytest.fixture(scope="module")
def folder_and_answer(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Answer]:
    folder = tmp_path_factory.mktemp("a folder")
    (folder / "study.py").write_text(STUDY, encoding="utf-8")
    options = ("--verify", "off", "--no-report", *HERE)
    return folder, kerastudy_here(folder, "launch", "study.py", *options)


def test_findings_are_printed_in_80_columns(folder_and_answer: tuple[Path, Answer]) -> None:
    lines = kerastudy_here(
        folder_and_answer[0], "data", "study.py", COLUMNS="80"
    ).stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[1] == "samples  train 60, validation 50, test 60"
    assert lines[3].startswith("baseline always answering 0 is right in 98 % of the validation")
    assert lines[4].startswith("found    1 problem, ")
    assert "problem  Samples of the test part are in the training part too" in lines


def test_a_study_of_the_store_is_found_by_its_name(
    folder_and_answer: tuple[Path, Answer], tmp_path: Path
) -> None:
    store = folder_and_answer[0] / "kerastudy-store"
    document = as_json(kerastudy_here(tmp_path, "data", "flawed", "--store", store, "--json"))
    assert document["sizes"] == {"train": 60, "validation": 50, "test": 60}
    refused = kerastudy_here(tmp_path, "data", "flawde", "--store", store, expect=2)
    assert "no study file or catalog study 'flawde'" in refused.stderr


def test_numbers_have_a_baseline(tmp_path: Path) -> None:
    y = np.linspace(100.0, 300.0, 50)
    x = np.random.default_rng(0).random((55, 3))
    parts = {"x_train": x[:30], "x_validation": x[30:50], "x_test": x[50:]}
    targets = {"y_train": y[:30], "y_validation": y[30:], "y_test": y[:5]}
    np.savez(tmp_path / "numbers.npz", **parts, **targets)
    mean = y[:30].mean()
    output = flat(kerastudy_here(tmp_path, "data", "numbers.npz", COLUMNS="80").stdout)
    baseline = re.search(
        r"baseline always answering the mean, ([\d.]+), is off by ([\d.]+)", output
    )
    assert baseline is not None, output
    expected = [mean, np.abs(y[30:] - mean).mean()]
    assert [float(number) for number in baseline.groups()] == pytest.approx(expected, rel=1e-3)


def check(text: str, share: str) -> None:
    """Checks that the text has the flaw, then that of a constant guess, then the value."""
    text, guess = flat(text), f"Not shown to be better than always answering 0 ({share})."
    assert [text.count(sentence) for sentence in (FLAW, guess)] == [1, 1], text
    assert text.index(FLAW) < text.index(guess) < text.lower().index("expect")


def test_a_flaw_is_in_the_verdict(folder_and_answer: tuple[Path, Answer], tmp_path: Path) -> None:
    """Python and tags have the same text: see `test_verdicts`."""
    folder = tmp_path / "copy"
    shutil.copytree(folder_and_answer[0], folder)
    answer = folder_and_answer[1]
    check(answer.stdout, "0.98")
    assert f"warning: {FLAW}" in flat(answer.stderr) and answer.stderr.count("warning: ") == 1
    assert "Look at it: kerastudy data study.py" in flat(answer.stderr)
    options = ("flawed", "--top", "2", "--budget", "3", *HERE)
    check(kerastudy_here(folder, "confirm", *options).stdout, "0.983")
    check(as_json(kerastudy_here(folder, "confirm", *options, "--json"))["verdict"], "0.983")
    check(kerastudy_here(folder, "show", "flawed").stdout, "0.983")
    kerastudy_here(folder, "report", "flawed", "--output", folder / "report.html")
    page = (folder / "report.html").read_text(encoding="utf-8")
    (first,) = re.findall(r"<header>(.*?)</header>", page, re.DOTALL)
    check(re.sub("<[^>]+>", " ", first), "0.983")
    in_mlflow = InMlflow(history_at(folder / "kerastudy-store", "flawed"))
    check(in_mlflow.parent.data.tags["mlflow.note.content"], "0.983")
    evaluated = flat(kerastudy_here(folder, "evaluate", "flawed").stdout)
    assert evaluated.index(FLAW) < evaluated.index("accuracy 0.98")


def test_a_file_needs_no_study(tmp_path: Path) -> None:
    rows = "".join(f"{area},{area % 2},{3 * area}\n" for area in range(200))
    (tmp_path / "many.csv").write_text(f"area,garden,price\n{rows}", encoding="utf-8")
    findings = as_json(kerastudy_here(tmp_path, "data", "many.csv", "--target", "price", "--json"))
    (tmp_path / "my_study.py").write_text(
        "import kerastudy as ks\n"
        "study = ks.Study('rows', data=ks.datasets.table('many.csv', target='price'),"
        " build=lambda hp: None)\n"
    )
    assert findings == as_json(kerastudy_here(tmp_path, "data", "my_study.py", "--json"))


def test_wrong_use_is_refused_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "houses.csv").write_text("area,price\n1,2\n", encoding="utf-8")
    for arguments, words in (
        (("nowhere.py",), "nowhere.py"),
        (("nowhere.csv", "--target", "price"), "There is no file"),
        (("houses.csv",), "--target price"),
        (("digits", "--target", "price"), "--target 'price' names"),
    ):
        answer = kerastudy_here(tmp_path, "data", *arguments, expect=2)
        assert words in answer.last and answer.last.startswith("kerastudy: ")
