"""``kerastudy doctor`` on a real study: what it prints, and how it exits."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from blobs import Launched
from damage import cut_short, tear_pages
from handmade import contents
from study_record import weights_in
from user_commands import as_json, kerastudy_here


def test_nothing_is_wrong_with_what_was_launched(copied_store: Path, tmp_path: Path) -> None:
    told = kerastudy_here(tmp_path, "doctor", "--store", copied_store)
    assert (told.stdout, told.stderr) == (f"nothing wrong in {str(copied_store)!r}\n", "")
    told = kerastudy_here(tmp_path, "doctor", "--fix", "--json", "--store", copied_store)
    empty = {"findings": [], "running": []}
    assert as_json(told) == {"store": str(copied_store), **empty}


@pytest.mark.exhaustive
def test_a_damaged_checkpoint_is_trained_again(copied_store: Path, tmp_path: Path) -> None:
    shown = kerastudy_here(tmp_path, "show", "blobs", "--json", "--store", copied_store)
    path = Path(as_json(shown)["best"]["checkpoint"])
    whole = weights_in(path)
    cut_short(path)
    told = kerastudy_here(tmp_path, "doctor", "--json", "--store", copied_store, expect=1)
    (finding,) = as_json(told)["findings"]
    assert (finding["kind"], finding["path"]) == ("checkpoint", str(path))
    assert finding["study"] == "blobs"
    command = shlex.split(finding["how"].partition("to the bit: ")[2])
    assert command[:3] == ["kerastudy", "reproduce", "blobs"]
    told = kerastudy_here(tmp_path, *command[1:])
    assert f"is restored: {str(path)!r}" in " ".join(told.stderr.split())
    assert weights_in(path) == whole


def test_what_is_wrong_and_mended_is_a_line_each(copied_store: Path, tmp_path: Path) -> None:
    for number in (1, 2):
        (copied_store / f"partial-{number}-store.json").touch()
    told = kerastudy_here(tmp_path, "doctor", "--store", copied_store, expect=1)
    lines = told.stdout.splitlines()
    assert len([line for line in lines if line.startswith("wrong  ")]) == 2
    assert lines[-1] == f"2 wrong in {str(copied_store)!r}"
    told = kerastudy_here(tmp_path, "doctor", "--fix", "--store", copied_store)
    lines = told.stdout.splitlines()
    assert all(line.startswith("mended  ") for line in lines[:-1])
    assert lines[-1] == f"2 wrong in {str(copied_store)!r}, 2 mended"


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["launch", "FILE", "--executor", "in-process"], 2),
        (["show", "blobs"], 2),
        (["doctor", "--fix"], 1),
    ],
)
def test_a_damaged_record_is_told_in_one_line(
    launched: Launched, copied_store: Path, tmp_path: Path, command: list[str], code: int
) -> None:
    journal = copied_store / "blobs" / "journal.db"
    tear_pages(journal, last=True)
    cut_short(journal)
    before = contents(copied_store)
    arguments = [str(launched.file) if word == "FILE" else word for word in command]
    told = kerastudy_here(tmp_path, *arguments, "--store", copied_store, expect=code)
    if code == 1:
        assert "the journal is damaged" in told.stdout and told.stderr == ""
    else:
        assert told.stderr.count("kerastudy: ") == 1 and "kerastudy doctor" in told.last
    assert contents(copied_store) == before


def test_no_store_is_wrong_use(tmp_path: Path) -> None:
    told = kerastudy_here(tmp_path, "doctor", "--fix", expect=2)
    assert "kerastudy-store" in told.last and "--store" in told.last
    assert not list(tmp_path.iterdir())
