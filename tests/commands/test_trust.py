"""Code that is recorded in somebody else's store is not run unasked."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pexpect
import pytest
from damage import settle
from doctored import launch
from handmade import contents
from study_file import write_study
from user_commands import KERASTUDY, environment, kerastudy, kerastudy_here

import kerastudy as ks


@pytest.fixture(scope="module")
def another_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "store"
    launch(folder, trials=2)
    settle(folder / "scripted" / "journal.db")
    return folder


@pytest.fixture
def store(another_store: Path, tmp_path: Path) -> Path:
    shutil.copytree(another_store, tmp_path / "store")
    return tmp_path / "store"


def of_ann(store: Path) -> None:
    """Makes the store one of somebody else, on another machine."""
    path = store / "store.json"
    facts = json.loads(path.read_text())
    assert facts["users"]
    path.write_text(json.dumps({**facts, "users": ["0" * 32], "made_by": "ann on desk"}))


def test_anothers_store_is_refused_until_it_is_trusted(store: Path, tmp_path: Path) -> None:
    of_ann(store)
    before = contents(store)
    evaluate = ("evaluate", "scripted", "--trial", "0", "--store", store)
    for command in (
        ["reproduce", "scripted"],
        ["evaluate", "scripted"],
        ["promote", "scripted"],
        ["predict", "scripted", "--input", "new.csv"],
    ):
        answer = kerastudy_here(tmp_path, *command, "--store", store, expect=2)
        assert "made by 'ann on desk'" in answer.last and "--trust" in answer.last
    assert contents(store) == before
    # `doctor` runs no code of the store.
    kerastudy_here(tmp_path, "doctor", "--fix", "--store", store)
    # The option is needed once.
    for options in (["--trust"], []):
        answer = kerastudy_here(tmp_path, *evaluate, *options, expect=1)
        assert answer.stdout == "" and "has no test part" in answer.stderr


MARKS = {
    "no marks": lambda facts: json.dumps(
        {k: facts[k] for k in facts if k not in ("users", "salt")}
    ),
    "no users": lambda facts: json.dumps({**facts, "users": []}),
    "its format alone": lambda facts: json.dumps({"format": facts["format"]}),
    "damaged": lambda facts: "{",
}


def test_without_its_owners_mark_planted_code_does_not_run(tmp_path: Path) -> None:
    canary, folder = tmp_path / "ran", tmp_path / "made"
    planted = f"open({str(canary)!r}, 'w').close()\n"
    file = write_study(tmp_path, name='"작은 연구"', imports=planted)
    options = ("--trials", "1", "--epochs", "1", "--verify", "off", "--executor", "in-process")
    kerastudy_here(tmp_path, "launch", file, *options, "--store", folder)
    settle(folder / "작은 연구" / "journal.db")
    assert canary.exists()
    canary.unlink()
    for name, change in MARKS.items():
        store = tmp_path / name
        shutil.copytree(folder, store)
        file = store / "store.json"
        file.write_text(change(json.loads(file.read_text())))
        # The first command runs in a process, as a user's does.
        run = kerastudy if name == "no marks" else kerastudy_here
        answer = run(tmp_path, "reproduce", "작은 연구", "--store", store, expect=2)
        assert "If you trust it, give --trust." in answer.stderr or name == "damaged"
        assert not canary.exists(), name
    with pytest.raises(ks.errors.StudyError, match=r"does not say who made it.*pass trust=True"):
        ks.load_model("작은 연구", store=tmp_path / "no marks")
    assert not canary.exists()
    trusted = ("reproduce", "작은 연구", "--trust", "--store", str(tmp_path / "no marks"))
    kerastudy_here(tmp_path, *trusted)
    assert canary.exists()


def test_predictions_in_python_take_trust(copied_store: Path) -> None:
    results = ks.read_study("blobs", store=copied_store)
    of_ann(copied_store)
    x = np.zeros((2, 4), "float32")
    for _ in range(2):
        with pytest.raises(ks.errors.StudyError, match="pass trust=True"):
            results.predict(x)
        expected = ks.load_model("blobs", store=copied_store, trust=True).predict(x, verbose=0)
        assert (results.predict(x, trust=True, batch_size=1) == expected).all()


@pytest.mark.skipif(sys.platform == "win32", reason="needs a terminal of POSIX")
def test_on_a_terminal_it_is_asked_once(store: Path, tmp_path: Path) -> None:
    of_ann(store)
    before = contents(store)
    evaluate = ("evaluate", "scripted", "--trial", "0", "--store")
    command = [*KERASTUDY, *evaluate, str(store)]
    for answer, code in (("n", 2), ("y", 1)):
        child = pexpect.spawn(command[0], command[1:], cwd=tmp_path, env=environment(), timeout=120)
        child.expect_exact("Do you trust it?")
        assert contents(store) == before
        child.sendline(answer)
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == code
    kerastudy_here(tmp_path, *evaluate, store.rename(tmp_path / "moved"), expect=1)
