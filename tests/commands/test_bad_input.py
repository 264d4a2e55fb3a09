"""Bad input gets one clear line, exit code 2, and changes nothing."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from blobs import Launched, write_study
from handmade import contents
from scripted import ScriptedExecutor, describe, run_study
from stores import store_at
from user_commands import Answer, kerastudy_here, run

from studies.progress import NoProgress
from tracking.store import STORE_FORMAT


def check_refused(told: Answer, *words: str) -> None:
    """One line of ours at the end, with these words in it."""
    assert "Traceback" not in told.stderr
    lines = [line for line in told.stderr.splitlines() if line.startswith("kerastudy:")]
    assert lines == [told.last], told.stderr
    assert told.stdout == ""
    for word in words:
        assert word in told.last


# What is told before any worker is started.


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nope.py"], ["'nope.py'"]),
        (["folder/nope.py"], ["'folder/nope.py'"]),
        (["nope.py:study"], ["'nope.py'"]),
        (["digitz"], ["'digitz'", "Did you mean 'digits'"]),
        ([""], []),
        (["."], ["folder"]),
        (["digits", "--trials", "0"], ["trials", "0"]),
        (["digits", "--trials", "-3"], ["trials", "-3"]),
        (["digits", "--epochs", "0"], ["epochs", "0"]),
        (["digits", "--engine", "optuna:tpee"], ["'optuna:tpee'", "'optuna:tpe'"]),
        (["digits", "--engine", "xyz"], ["'xyz'", "'optuna:tpe'"]),
        (["digits", "--engine", ""], ["''"]),
        (["digits", "--pruner", "medain"], ["'medain'", "'median'"]),
        (["digits", "--pruner", "xyz"], ["'xyz'", "'median'", "'hyperband'"]),
        (["digits", "--name", ""], ["''", "empty"]),
        (["digits", "--name", "  "], ["'  '", "empty"]),
        (["digits", "--name", "a/b"], ["'a/b'", "'/'"]),
        (["digits", "--name", "../digits"], ["'../digits'"]),
        (["digits", "--name", "C:\\digits"], ["\\"]),
        (["digits", "--keep", "0"], ["keep", "'0'"]),
        (["digits", "--keep", "few"], ["keep", "'few'"]),
        (["digits", "--patience", "0"], ["patience", "0"]),
        (["digits", "--timeout", "soon"], ["--timeout", "'soon'", "1h30m"]),
        (["digits", "--timeout", "-5s"], ["--timeout", "'-5s'"]),
        (["digits", "--trial-timeout", "0"], ["--trial-timeout", "'0'"]),
        (["digits", "--stop-at", "nan"], ["stop_at", "nan"]),
        (["digits", "--workers", "0"], ["workers", "0"]),
        (["digits", "--workers", "2", "--executor", "in-process"], ["'in-process'", "2"]),
    ],
)
def test_launch_refuses(tmp_path: Path, arguments: list[str], words: list[str]) -> None:
    told = kerastudy_here(tmp_path, "launch", *arguments, expect=2)
    check_refused(told, *words)
    assert contents(tmp_path) == {}


COMMANDS = [["launch", "digits"], ["list"], ["show", "x"], ["reproduce", "x"], ["ui"]]
NEWER = json.dumps({"format": STORE_FORMAT + 1, "path": "/x"})
EARLIER = json.dumps({"format": STORE_FORMAT - 1, "path": "/x"})


@pytest.mark.parametrize("command", COMMANDS)
def test_a_store_that_is_a_file(tmp_path: Path, command: list[str]) -> None:
    file = tmp_path / "a file"
    file.write_text("mine")
    told = kerastudy_here(tmp_path, *command, "--store", file, expect=2)
    check_refused(told, repr(str(file)), "file")
    assert contents(tmp_path).keys() == {"a file"}
    assert file.read_text() == "mine"


def test_the_store_may_come_from_a_variable(tmp_path: Path) -> None:
    file = tmp_path / "a file"
    file.write_text("mine")
    told = kerastudy_here(tmp_path, "launch", "digits", expect=2, KERASTUDY_STORE=str(file))
    check_refused(told, repr(str(file)), "file")


def test_the_number_of_workers_may_come_from_a_variable(tmp_path: Path) -> None:
    told = kerastudy_here(tmp_path, "launch", "digits", expect=2, KERASTUDY_WORKERS="many")
    check_refused(told, "KERASTUDY_WORKERS", "'many'")
    assert contents(tmp_path) == {}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_store_made_by_a_newer_kerastudy(tmp_path: Path, command: list[str]) -> None:
    check_unreadable(tmp_path, command, NEWER, "newer", str(STORE_FORMAT + 1), "pip install")


@pytest.mark.parametrize("command", COMMANDS[:2])
def test_a_store_made_by_an_earlier_kerastudy(tmp_path: Path, command: list[str]) -> None:
    check_unreadable(tmp_path, command, EARLIER, "earlier", str(STORE_FORMAT - 1), "--store")


@pytest.mark.parametrize("command", COMMANDS[:2])
def test_a_damaged_store(tmp_path: Path, command: list[str]) -> None:
    check_unreadable(tmp_path, command, "{", "store.json", "damaged")


def check_unreadable(folder: Path, command: list[str], text: str, *words: str) -> None:
    store = folder / "store"
    store.mkdir()
    (store / "store.json").write_text(text)
    before = contents(folder)
    told = kerastudy_here(folder, *command, "--store", store, expect=2)
    check_refused(told, str(store), *words)
    assert contents(folder) == before


# /root may be closed to others: what is used is imported before root steps down.
AS_NOBODY = """
import os, sys
import studies.commands.launch, studies.commands.command_line, studies.commands.records
import studies.running.launch, studies.user_code.loading, studies.definition.settings
import search_spaces, studies.data, rich.console, rich.live
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
sys.argv = ["kerastudy", *sys.argv[1:]]
studies.commands.command_line.main()
"""


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A folder that everybody may enter, unlike pytest's."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


@pytest.mark.skipif(not hasattr(os, "setuid"), reason="needs POSIX users")
def test_a_store_that_is_not_writable(open_to_all: Path) -> None:
    os.chmod(open_to_all, 0o555)
    store = open_to_all / "store"
    told = run(
        Path("/"),
        [sys.executable, "-P", "-c", AS_NOBODY, "launch", "digits", "--store", str(store)],
        expect=2,
    )
    check_refused(told, str(store), "writable")
    assert contents(open_to_all) == {}


@pytest.mark.parametrize("command", [["show", "digits"], ["evaluate", "digits"], ["ui", "digits"]])
def test_no_store_says_how_to_start(tmp_path: Path, command: list[str]) -> None:
    told = kerastudy_here(tmp_path, *command, expect=2)
    check_refused(told, "kerastudy-store", "kerastudy launch")
    assert contents(tmp_path) == {}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["show", "blob"], ["'blob'", "'blobs'"]),
        (["reproduce", "blob"], ["'blob'", "'blobs'"]),
        (["ui", "blob", "--no-open"], ["'blob'", "'blobs'"]),
        (["evaluate", "blob"], ["'blob'", "'blobs'"]),
        (["promote", "blob"], ["'blob'", "'blobs'"]),
        (["reproduce", "blobs", "--trial", "99"], ["no trial 99", "0 to 2"]),
        (["reproduce", "blobs", "--trial", "-1"], ["-1", "0 to 2"]),
        (["show", "blobs", "--engine", "random"], ["optuna:random", "optuna:tpe"]),
        (["show", "blobs", "--engine", "tpee"], ["'tpee'", "'tpe'"]),
    ],
)
def test_what_is_not_in_the_store(
    launched: Launched, tmp_path: Path, arguments: list[str], words: list[str]
) -> None:
    before = contents(launched.store)
    told = kerastudy_here(tmp_path, *arguments, "--store", launched.store, expect=2)
    check_refused(told, *words)
    assert contents(launched.store) == before


# What is found when the study is loaded.


@dataclass(frozen=True)
class Case:
    """A study file that is wrong.

    Attributes:
        words: What the message names.
        replaced: What is replaced in the study file; see `blobs.PLACES`.
        text: The file's text instead, or empty.
        arguments: Of the command, beside the file.
        variable: After a colon in the target.
    """

    words: list[str]
    replaced: dict[str, str] = field(default_factory=dict)
    text: str = ""
    arguments: list[str] = field(default_factory=list)
    variable: str = ""


NAN = "ks.datasets.arrays(np.where(np.arange(600).reshape(150, 4) == 9, np.nan, x), y)"
CASES = {
    "does not parse": Case(["my_study.py", "does not parse", "line 2"], text="a = 1\nb = = 2\n"),
    "raises": Case(
        ["my_study.py", "line 3", "ValueError: of mine"], text="\n\nraise ValueError('of mine')\n"
    ),
    "exits": Case(["my_study.py", "SystemExit"], text="import sys\nsys.exit(3)\n"),
    "lacks a module": Case(["no_such_module_here"], text="import no_such_module_here\n"),
    "has no study": Case(["my_study.py", "no study"], text="a = 1\n"),
    "has two studies": Case(
        ["2 studies", "my_study.py:other", "study"],
        {"returned": "    return model\n\n\ndef another():\n    return ks.Study('x', build=build,"
         " data=ks.datasets.arrays(x, y), space=ks.SearchSpace(ks.dropout()))\n\n\n",
         "study": 'other = another()\nstudy = ks.Study(\n    "blobs"'},
    ),
    "has no such study": Case(["'stud'", "'study'"], variable="stud"),
    "returns no model": Case(["Keras model", "None"], {"returned": "    pass\n"}),
    "returns a score": Case(
        ["Keras model", "42", "objective of Optuna's"], {"returned": "    return 42\n"}
    ),
    "has another input": Case(
        ["'blobs'", "expected axis -1", "build in my_study.py, line"],
        {"returned": "    wide, top = keras.layers.Input((7,)), keras.layers.Dense(3, 'softmax')\n"
         "    model = keras.Sequential([wide, top])\n"
         "    model.compile('sgd', 'sparse_categorical_crossentropy', metrics=['accuracy'])\n"
         "    return model\n"},
    ),
    "calls what is not there": Case(
        ["NameError", "'mdel'", "my_study.py, line 22"], {"returned": "    return mdel\n"}
    ),
    "ends the search": Case(
        ["FatalValueError: no disk", "my_study.py, line 23"],
        {"returned": "    import keras_tuner\n"
         "    raise keras_tuner.errors.FatalValueError('no disk')\n"},
    ),
    "does not compile": Case(["not compiled"], {"compiled": ""}),
    "reads what is undeclared": Case(
        ["'learning_rat'", "learning_rate"],
        {"returned": "    hp['learning_rat']\n    return model\n"},
    ),
    "has an empty space": Case(["empty"], {"space": "ks.SearchSpace()"}),
    "has no space": Case(["SearchSpace", "{}"], {"space": "{}"}),
    "has no trials": Case(["trials", "0"], {"trials": "trials=0"}),
    "has a path as its name": Case(["'a/b'"], {"name": '"a/b"'}),
    "has an empty name": Case(["''", "empty"], {"name": '""'}),
    "has an unknown engine": Case(["'tpee'", "'tpe'"], {"seed": "    epochs=2, engine='tpee',"}),
    "has an unknown pruner": Case(["'medain'", "'median'"],
                                  {"seed": "    epochs=2, pruner='medain',"}),
    "has an unknown metric": Case(["'val_acuracy'", "'val_accuracy'"],
                                  {"objective": '"val_acuracy"'}),
    "has a metric that is not logged": Case(
        ["'val_auc'", "'val_accuracy'", "'val_loss'"], {"objective": '"val_auc"'}
    ),
    "has a metric near one that is logged": Case(
        ["'val_acuracy'", "Did you mean", "'val_accuracy'"],
        {"objective": 'ks.Objective("val_acuracy", "max")'}),
    "has NaN in its data": Case(["NaN", "x"], {"data": NAN}),
    "has mismatched lengths": Case(["150", "149", "length"],
                                   {"data": "ks.datasets.arrays(x, y[1:])"}),
    "has one class": Case(["one class"], {"data": "ks.datasets.arrays(x, y * 0)"}),
    "has too few samples": Case(["sample"], {"data": "ks.datasets.arrays(x[:4], y[:4])"}),
    "has two samples of three parts": Case(["sample"],
                                           {"data": "ks.datasets.arrays(x[:2], y[:2])"}),
    "has no data file": Case(["nowhere.npz", "does not exist"],
                             arguments=["--data", "nowhere.npz"]),
    "has a data file that is none": Case(["my_study.py", "npz"],
                                         arguments=["--data", "my_study.py"]),
    "has a grid without steps": Case(["grid", "learning_rate"], arguments=["--engine", "grid"]),
    "has a seed that is none": Case(["seed", "-1"], arguments=["--seed", "-1"]),
}  # fmt: skip


# Of what a worker can't load, the executors' conformance tells in `studies/test_executors`.
@pytest.mark.parametrize(
    ("name", "executor"),
    [
        *((name, "in-process") for name in CASES),
        pytest.param("raises", "worker", marks=pytest.mark.exhaustive),
    ],
)
def test_a_study_that(tmp_path: Path, name: str, executor: str) -> None:
    case = CASES[name]
    file = write_study(tmp_path, **case.replaced)
    if case.text:
        file.write_text(case.text)
    target = f"my_study.py:{case.variable}" if case.variable else "my_study.py"
    options = ["--executor", executor, *case.arguments]
    told = kerastudy_here(tmp_path, "launch", target, *options, expect=2)
    check_refused(told, *case.words)
    left = {p for p in contents(tmp_path) if "__pycache__" not in p}
    assert left == {"my_study.py"}


# A study that has changed since it was launched.

CHANGES = {
    "space": (
        {"space": "ks.SearchSpace(ks.learning_rate(1e-2, 1.0), ks.dropout())"},
        ["dropout", "learning_rate"],
    ),
    "data": ({"data": "ks.datasets.arrays(x + 1, y)"}, ["data differs", "train", "validation"]),
    "settings": (
        {"objective": '"val_loss"', "epochs": "epochs=3"},
        ["objective", "val_accuracy", "val_loss", "epochs was 2 and is 3"],
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_study_that_has_changed(copied_store: Path, tmp_path: Path, name: str) -> None:
    """It is told what differs and how to start anew; the record stays as it was."""
    replaced, words = CHANGES[name]
    file = write_study(tmp_path, **replaced)
    before = contents(copied_store)
    arguments = ("launch", file, "--store", copied_store, "--executor", "in-process")
    told = kerastudy_here(tmp_path, *arguments, "--trials", "4", expect=2)
    check_refused(told, "'blobs'", "--name", *words)
    assert contents(copied_store) == before


def test_options_that_can_not_be_served_are_refused_before_the_store_is_read(
    tmp_path: Path,
) -> None:
    for command, word in (
        (["report", "digits", "--output", "nowhere/report.html"], "nowhere"),
        (["show", "digits", "--trial", "1", "--all"], "--all"),
        (["show", "digits", "--trial", "1", "--top", "3"], "--top"),
    ):
        check_refused(kerastudy_here(tmp_path, *command, expect=2), word)


STUDIES: dict[str, dict[str, Any]] = {
    "one": {"trials": 1},
    "failing": {"trials": 3, "infeasible": {0, 1, 2}},
    "three": {"trials": 3},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a space in its name, and a store of studies that nothing has trained."""
    folder = tmp_path_factory.mktemp("bad choices")
    for name, settings in STUDIES.items():
        infeasible = settings.get("infeasible", set())
        description = describe(name=name, trials=settings["trials"], epochs=2)
        executor = ScriptedExecutor(description, infeasible=infeasible)
        run_study(executor, store=folder / "kerastudy-store", progress=NoProgress(), report=False)
    return folder


def told_by(folder: Path, *arguments: str) -> Answer:
    return kerastudy_here(folder, *arguments, expect=None, COLUMNS="80")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("one",), ["only one of its trials has a value", "more trials"]),
        (("failing",), ["all of its 3 trials are infeasible", "--retry-infeasible"]),
        (("nowhere",), ["'nowhere'", "'three'"]),
        (("three", "--budget", "3"), ["too small for a race of 3 trials", "Give --budget"]),
        (("three", "--budget", "many"), ["'many'", "--help"]),
        (("three", "--top", "0"), ["at least 2", "Received: 0"]),
        (("three", "--seeds", "1"), ["at least 5", "Received: 1"]),
        (("three", "--engine", "optuna:random"), ["optuna:random", "optuna:tpe"]),
        (("three", "--executor", "in-process", "--workers", "2"), ["Leave one of the two out"]),
    ],
)
def test_confirm_says_what_is_missing(
    folder: Path, arguments: tuple[str, ...], words: list[str]
) -> None:
    told = told_by(folder, "confirm", *arguments)
    check_one_line(told, *words)


def test_confirm_waits_for_no_launch(folder: Path) -> None:
    store = store_at(folder / "kerastudy-store")
    with store.lock_study(store.root / "three", "three"):
        check_one_line(told_by(folder, "confirm", "three"), "'three'", "process")


def test_ctrl_c_says_what_is_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: Any, **options: Any) -> None:
        raise KeyboardInterrupt("2 of 18 trainings are recorded; confirm again to resume")

    monkeypatch.setattr("studies.champion.confirm_study", interrupted)
    told = told_by(folder, "confirm", "three")
    assert told.returncode == 130
    assert told.stderr == (
        "kerastudy: interrupted: 2 of 18 trainings are recorded; confirm again to resume\n"
    )


def test_diagnose_asks_for_more_where_it_can_say_nothing(folder: Path) -> None:
    told = told_by(folder, "diagnose", "one")
    assert told.returncode == 0
    assert told.stdout.startswith("study    one: 1 trial by optuna:tpe, min val_loss\n")
    assert told.stdout.rstrip().splitlines()[-1].startswith("next     the record is too short for")
    check_one_line(told_by(folder, "diagnose", "nowhere"), "'nowhere'")


def check_one_line(told: Answer, *words: str) -> None:
    assert (told.returncode, told.stdout) == (2, ""), told
    lines = told.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("kerastudy: "), told.stderr
    for word in words:
        assert word in lines[0]
