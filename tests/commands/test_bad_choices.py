"""What `confirm` and `diagnose` say of studies that allow no answer, and of wrong options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scripted import ScriptedExecutor, describe, run_study
from user_commands import Answer, kerastudy_here

from studies.champion import confirm as confirming
from studies.progress import NoProgress
from tracking.store import open_store

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
        (("three", "--top", "0"), ["2 or more", "Received: 0"]),
        (("three", "--seeds", "1"), ["5 or more", "Received: 1"]),
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
    store = open_store(folder / "kerastudy-store")
    assert store is not None
    with store.lock_study(store.root / "three", "three"):
        check_one_line(told_by(folder, "confirm", "three"), "'three'", "process")


def test_ctrl_c_says_what_is_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: Any, **options: Any) -> None:
        raise KeyboardInterrupt("2 of 18 trainings are recorded; confirm again to resume")

    monkeypatch.setattr(confirming, "confirm_study", interrupted)
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
