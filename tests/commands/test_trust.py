"""Code that is recorded in somebody else's store is not run unasked."""

from __future__ import annotations

import io
import json
import shutil
import sys
from pathlib import Path

import pexpect
import pytest
import user_commands
from damage import settle
from doctored import launch
from handmade import contents
from user_commands import KERASTUDY, environment, kerastudy, kerastudy_here, write_study

from search_spaces import StoreError, StudyError
from studies.commands import check_trusted
from studies.results import load_model
from tracking.store import trust


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "store"
    launch(folder, trials=2)
    settle(folder / "scripted" / "journal.db")
    return folder


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "store")
    return tmp_path / "store"


def of_ann(store: Path) -> None:
    """Makes it a store that was made by somebody else, on another machine."""
    path = store / "store.json"
    facts = json.loads(path.read_text())
    assert facts["users"]
    path.write_text(json.dumps({**facts, "users": ["0" * 32], "made_by": "ann on desk"}))


def test_ones_own_store_is_trusted_wherever_it_is_moved(store: Path, tmp_path: Path) -> None:
    assert trust.stranger(store) == ""
    moved = store.rename(tmp_path / "moved")
    kerastudy_here(tmp_path, "doctor", "--fix", "--store", moved)
    assert trust.stranger(moved) == ""


def test_anothers_store_is_refused_until_it_is_trusted(store: Path, tmp_path: Path) -> None:
    of_ann(store)
    (store / "partial-1-store.json").touch()
    before = contents(store)
    for command in (
        ["doctor", "--fix"],
        ["reproduce", "scripted"],
        ["evaluate", "scripted"],
        ["promote", "scripted"],
        ["predict", "scripted", "--input", "new.csv"],
    ):
        told = kerastudy_here(tmp_path, *command, "--store", store, expect=2)
        assert "made by 'ann on desk'" in told.last and "--trust" in told.last
    assert contents(store) == before
    # It may look.
    kerastudy_here(tmp_path, "doctor", "--store", store, expect=1)
    told = kerastudy_here(tmp_path, "doctor", "--fix", "--trust", "--store", store)
    # Once is enough.
    kerastudy_here(tmp_path, "doctor", "--fix", "--store", store)
    assert trust.stranger(store) == "", "`reproduce` asks the same"
    command = ("evaluate", "scripted", "--trial", "0", "--store", store)
    told = kerastudy_here(tmp_path, *command, expect=1)
    assert told.stdout == "" and "has no test part" in told.stderr


def without_marks(path: Path) -> None:
    facts = json.loads(path.read_text())
    del facts["users"], facts["salt"]
    path.write_text(json.dumps(facts))


def without_users(path: Path) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), "users": []}))


def of_its_format_alone(path: Path) -> None:
    facts = json.loads(path.read_text())
    path.write_text(json.dumps({"format": facts["format"]}))


def missing(path: Path) -> None:
    path.unlink()


def damaged(path: Path) -> None:
    path.write_text("{")


def test_without_its_owners_mark_planted_code_does_not_run(tmp_path: Path) -> None:
    canary, made = tmp_path / "ran", tmp_path / "made"
    planted = f"import keras\nopen({str(canary)!r}, 'w').close()"
    file = write_study(tmp_path, **{"import keras\n": planted + "\n"})
    options = ("--trials", "1", "--epochs", "1", "--verify", "off", "--executor", "in-process")
    user_commands.kerastudy_here(tmp_path, "launch", file, *options, "--store", made)
    settle(made / "작은 연구" / "journal.db")
    assert canary.exists()
    canary.unlink()
    for change in (without_marks, without_users, of_its_format_alone, missing, damaged):
        store = tmp_path / change.__name__
        shutil.copytree(made, store)
        change(store / "store.json")
        # The first as a user does, in a process.
        run = kerastudy if change is without_marks else user_commands.kerastudy_here
        done = run(tmp_path, "reproduce", "작은 연구", "--store", str(store), expect=2)
        assert "If you trust it, give --trust." in done.stderr or change in (missing, damaged)
        assert not canary.exists(), change.__name__
    with pytest.raises(StudyError, match=r"does not say who made it.*pass trust=True"):
        load_model("작은 연구", store=tmp_path / "without_marks")
    assert not canary.exists()
    trusted = ("reproduce", "작은 연구", "--trust", "--store", str(tmp_path / "without_marks"))
    user_commands.kerastudy_here(tmp_path, *trusted)
    assert canary.exists()
    assert trust.stranger(tmp_path / "without_marks") == trust.stranger(made) == ""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a terminal of POSIX")
def test_on_a_terminal_it_is_asked_once(store: Path, tmp_path: Path) -> None:
    of_ann(store)
    before = contents(store)
    command = [*KERASTUDY, "doctor", "--fix", "--store", str(store)]
    terminal = pexpect.spawn(command[0], command[1:], cwd=tmp_path, env=environment(), timeout=120)
    terminal.expect_exact("Do you trust it?")
    assert contents(store) == before
    terminal.sendline("y")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0
    assert trust.stranger(store) == ""


class Terminal(io.StringIO):
    """Standard input or error of a terminal."""

    def isatty(self) -> bool:
        return True


def test_an_answer_of_no_runs_nothing(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of_ann(store)
    before, told = contents(store), Terminal()
    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    monkeypatch.setattr(sys, "stderr", told)
    with pytest.raises(StoreError, match="Nothing was run"):
        check_trusted(store, False)
    assert "Do you trust it?" in told.getvalue()
    assert contents(store) == before and trust.stranger(store)
