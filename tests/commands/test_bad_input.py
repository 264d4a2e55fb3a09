"""Bad input gets one clear line, exit code 2, and changes nothing."""

from pathlib import Path
from typing import Any

import pytest
from handmade import contents
from study_file import Launched, write_study
from user_commands import Answer, kerastudy_here

HERE = ("--executor", "in-process")


def check_refused(answer: Answer, *words: str) -> None:
    """Checks that only the last line of standard error is kerastudy's, and has these words."""
    assert "Traceback" not in answer.stderr
    lines = [line for line in answer.stderr.splitlines() if line.startswith("kerastudy:")]
    assert lines == [answer.last], answer.stderr
    assert answer.stdout == ""
    for word in words:
        assert word in answer.last


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["folder/nope.py:study"], ["'folder/nope.py'"]),
        ([""], []),
        (["digits", "--engine", "optuna:tpee"], ["'optuna:tpee'", "'optuna:tpe'"]),
        (["digits", "--name", "../digits"], ["'../digits'", "'/'"]),
        (["digits", "--start-with", "study:"], ["--start-with must", "'study:'"]),
        (["digits", "--timeout", "-5s"], ["--timeout", "'-5s'", "1h30m"]),
        (["digits", *HERE, "--data", "nowhere.npz"], ["nowhere.npz", "does not exist"]),
        (["digits", "--set", "dropout"], ["--set takes NAME=VALUE"]),
    ],
)
def test_launch_refuses_before_any_worker_starts(
    tmp_path: Path, arguments: list[str], words: list[str]
) -> None:
    answer = kerastudy_here(tmp_path, "launch", *arguments, expect=2)
    check_refused(answer, *words)
    assert contents(tmp_path) == {}


def test_variables_of_the_environment_are_checked_too(tmp_path: Path) -> None:
    answer = kerastudy_here(tmp_path, "launch", "digits", expect=2, KERASTUDY_WORKERS="many")
    check_refused(answer, "KERASTUDY_WORKERS", "'many'")
    answer = kerastudy_here(tmp_path, "show", "x", expect=2, KERASTUDY_STORE="~nobody.here/store")
    check_refused(answer, "no store", "~nobody.here")


NEWER, EARLIER = b'{"format": 99999, "more": []}', b'{"format": 1, "path": "/x"}'
DAMAGED = [b"", b"{", b"null", b'{"path": "/x"}', b"\xff\xfe{", b'{"format": 1e999, "path": "/x"}']


@pytest.mark.parametrize(
    ("command", "facts", "words"),
    [
        *(
            (command, NEWER, ["newer", "99999", "pip install"])
            for command in ("launch digits", "list", "show x", "reproduce x", "ui")
        ),
        ("list", EARLIER, ["earlier kerastudy (store format 1", "--store"]),
        *(
            (command, facts, ["damaged"])
            for command in ("launch digits", "list")
            for facts in DAMAGED
        ),
    ],
)
def test_a_store_that_can_not_be_read_stays_as_it_is(
    tmp_path: Path, command: str, facts: bytes, words: list[str]
) -> None:
    store = tmp_path / "store"
    store.mkdir()
    (store / "store.json").write_bytes(facts)
    before = contents(tmp_path)
    answer = kerastudy_here(tmp_path, *command.split(), "--store", store, expect=2)
    check_refused(answer, str(store), *words)
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("command", "place", "message"),
    [
        ("list", "file", "is a file"),
        ("launch digits", "file", "is a file"),
        ("launch digits", "file/store", "is a file"),
        *(("launch digits", f"a{character}b", "must not contain") for character in "?#%{}"),
    ],
)
def test_a_place_that_can_be_no_store_is_told(
    tmp_path: Path, command: str, place: str, message: str
) -> None:
    (tmp_path / "file").write_text("mine")
    answer = kerastudy_here(tmp_path, *command.split(), "--store", tmp_path / place, expect=2)
    check_refused(answer, message, str(tmp_path))
    assert (tmp_path / "file").read_text() == "mine" and contents(tmp_path).keys() == {"file"}


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["show", "digits"], "kerastudy launch"),
        (["evaluate", "digits"], "kerastudy launch"),
        (["ui", "digits"], "kerastudy launch"),
        (["doctor", "--fix"], "kerastudy-store"),
        (["report", "digits", "--output", "nowhere/report.html"], "nowhere"),
        (["show", "digits", "--trial", "1", "--all"], "--all"),
        (["show", "digits", "--trial", "1", "--top", "3"], "--top"),
    ],
)
def test_no_store_says_how_to_start_and_wrong_options_are_told_before_it_is_read(
    tmp_path: Path, arguments: list[str], word: str
) -> None:
    check_refused(kerastudy_here(tmp_path, *arguments, expect=2), word)
    assert contents(tmp_path) == {}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        *(([command, "blob"], ["'blob'", "'blobs'"]) for command in ("show", "ui", "diagnose")),
        *(([command, "blob"], ["'blob'", "'blobs'"]) for command in ("reproduce", "promote")),
        (["confirm", "blobs", "--top", "1"], ["'--top'", "x>=2"]),
        (["confirm", "blobs", "--budget", "3"], ["too small for a race of 3 trials"]),
        (["confirm", "blobs", *HERE, "--workers", "2"], ["Leave one of the two out"]),
        (["reproduce", "blobs", "--trial", "99"], ["no trial 99", "0 to 2"]),
        (["reproduce", "blobs", "--trial", "-1"], ["-1", "0 to 2"]),
    ],
)  # fmt: skip
def test_wrong_arguments_on_a_study_of_the_store(
    blobs: Launched, tmp_path: Path, arguments: list[str], words: list[str]
) -> None:
    before = contents(blobs.store)
    answer = kerastudy_here(tmp_path, *arguments, "--store", blobs.store, expect=2)
    check_refused(answer, *words)
    assert contents(blobs.store) == before


# Wrong study files by name: the text of the file, or other parts of `study_text`; the words of the
# message; options of the launch.
CASES: dict[str, tuple[Any, ...]] = {
    "does not parse": ("a = 1\nb = = 2\n", ["study.py", "does not parse", "line 2"]),
    "raises": ("\n\nraise ValueError('of mine')\n", ["study.py", "line 3", "ValueError: of mine"]),
    "exits": ("import sys\nsys.exit(3)\n", ["study.py", "SystemExit"]),
    "lacks a module": ("import no_such_module_here\n", ["no_such_module_here"]),
    "has no study": ("a = 1\n", ["study.py", "no study"]),
    "has two studies": (
        {"more": "other = ks.Study('x', build=build, data=ks.datasets.arrays(x, y))\n"},
        ["2 studies", "study.py:other", "study"],
    ),
    "returns no model": ({"returned": "pass"}, ["Keras model", "None"]),
    "returns a score": (
        {"returned": "return 42"},
        ["Keras model", "42", "objective function of Optuna"],
    ),
    "has another input": (
        {"returned": "wide, top = keras.layers.Input((7,)), keras.layers.Dense(3, 'softmax')\n"
         "    model = keras.Sequential([wide, top])\n"
         "    model.compile('sgd', 'sparse_categorical_crossentropy', metrics=['accuracy'])\n"
         "    return model"},
        ["the model raised ValueError", "value 7"],
    ),
    "calls what is not there": ({"returned": "return mdel"},
                                ["NameError", "'mdel'", "study.py, line 21"]),
    "does not compile": ({"compiled": ""}, ["not compiled"]),
    "reads what is undeclared": ({"returned": "return hp['learning_rat']"},
                                 ["'learning_rat'", "learning_rate"]),
    "has no space": ({"space": "{}"}, ["SearchSpace", "{}"]),
    "has Keras Tuner's space": (
        {"space": "__import__('keras_tuner').HyperParameters()"},
        ["SearchSpace", "--set and --only"],
    ),
    "runs TensorFlow before it sets threads": (
        {"more": "__import__('keras').ops.ones(3)", "threads": "3"},
        ["3 threads", "set_intra_op_parallelism_threads(3) first"],
    ),
    "has an unknown metric": ({"objective": '"val_acuracy"'}, ["'val_acuracy'", "'val_accuracy'"]),
    "has a metric that is not logged": ({"objective": '"val_auc"'},
                                        ["'val_auc'", "'val_accuracy'", "'val_loss'"]),
    "warms up by a negative number": ({"pruner": "'median,n_warmup_steps=-1'"}, ["negative"]),
    "lacks the bound of its pruner": ({"pruner": "'threshold'"}, ["lower"]),
    "has no file to start with": ({}, ["no file 'nowhere.json'", "by study:NAME"],
                                  "--start-with", "nowhere.json"),
    "lacks what is to be tuned": ({}, ["'learning_rat'", "Did you mean 'learning_rate'?"],
                                  "--only", "learning_rat"),
}  # fmt: skip


# `test_workers` tests studies that a worker can't load.
@pytest.mark.parametrize("name", CASES)
def test_a_study_that(tmp_path: Path, name: str) -> None:
    case, words, *options = CASES[name]
    file = write_study(tmp_path, **(case if isinstance(case, dict) else {}))
    if isinstance(case, str):
        file.write_text(case)
    answer = kerastudy_here(tmp_path, "launch", file, *HERE, *options, expect=2)
    check_refused(answer, *words)
    files = {p for p in contents(tmp_path) if "__pycache__" not in p}
    assert files == {"study.py"}


def test_a_study_that_has_changed_since_it_was_launched(copied_store: Path, tmp_path: Path) -> None:
    """The message says what differs and how to start anew. The record stays as it was."""
    file = write_study(
        tmp_path,
        space="ks.SearchSpace(ks.learning_rate(1e-2, 1.0), ks.dropout())",
        data="ks.datasets.arrays(x + 1, y)",
        objective='"val_loss"',
        epochs="3",
    )
    before = contents(copied_store)
    arguments = ("launch", file, "--store", copied_store, *HERE, "--trials", "4")
    answer = kerastudy_here(tmp_path, *arguments, expect=2)
    of_data, of_settings = (
        "data differs (train, validation",
        "epochs was 2 and is 3 (to undo: --epochs 2)",
    )
    check_refused(answer, "'blobs'", "--name", "dropout", "learning_rate", of_data, of_settings)
    check_refused(answer, "objective", "val_accuracy", "val_loss")
    assert contents(copied_store) == before
