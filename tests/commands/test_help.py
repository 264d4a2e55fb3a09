"""Help, version, the first line of a command, and how little is imported for them."""

from __future__ import annotations

import re
import sys
from importlib.metadata import version
from pathlib import Path

import pexpect
import pytest
from suite import exhaustive_but
from user_commands import environment, kerastudy, kerastudy_here, run

from studies.commands import launch_command
from tracking.store import create_store

COMMANDS = [
    "new", "launch", "list", "data", "show", "report", "compare", "diagnose", "reproduce",
    "evaluate", "promote", "predict", "ui", "export", "push", "rename", "delete", "doctor",
]  # fmt: skip
HEAVY = {"tensorflow", "keras", "mlflow", "optuna", "keras_tuner", "sklearn", "pandas"}


def imported_by(*arguments: str, cwd: Path) -> set[str]:
    """Runs the command and returns the top-level modules that it imported."""
    command = [sys.executable, "-X", "importtime", "-P", "-m", "kerastudy", *arguments]
    told = run(cwd, command)
    names = re.findall(r"^import time:.*\|\s*([\w.]+)$", told.stderr, flags=re.MULTILINE)
    assert "click" in names, "importtime says what was imported"
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("arguments", exhaustive_but(
    [["--help"], ["list", "--catalog"], ["launch", "--help"]],
    [["--help"], ["--version"], ["list"], ["list", "--json"], ["list", "--catalog"],
     ["launch", "--help"]]))  # fmt: skip
def test_nothing_heavy_is_imported(tmp_path: Path, arguments: list[str]) -> None:
    assert not imported_by(*arguments, cwd=tmp_path) & HEAVY
    assert not list(tmp_path.iterdir())


def test_nothing_heavy_is_imported_to_list_a_store_without_studies(tmp_path: Path) -> None:
    create_store(tmp_path / "kerastudy-store")
    assert not imported_by("list", cwd=tmp_path) & HEAVY


def test_version(tmp_path: Path) -> None:
    told = kerastudy(tmp_path, "--version")
    assert told.stdout == f"kerastudy {version('kerastudy')}\n"


def test_help_names_every_command(tmp_path: Path) -> None:
    told = kerastudy_here(tmp_path, "--help")
    for command in COMMANDS:
        assert re.search(rf"^  {command} +\S", told.stdout, flags=re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_examples_and_the_common_options(tmp_path: Path, command: str) -> None:
    told = kerastudy_here(tmp_path, command, "--help")
    assert f"kerastudy {command}" in told.stdout
    for option in ("--store", "--json", "--help"):
        # A new file has nothing to do with a store.
        assert option in told.stdout or (command, option) == ("new", "--store")


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_examples_stand_on_lines_of_their_own(tmp_path: Path, command: str) -> None:
    """To be copied into a shell one by one; and no mark-up shows."""
    told = kerastudy_here(tmp_path, *filter(None, [command]), "--help", COLUMNS="80")
    # Whole on a terminal of 80 columns.
    _usage, *lines = told.stdout.splitlines()
    assert not [line for line in lines if len(line) > 80 or line.endswith("...")]
    assert "\\b" not in told.stdout
    assert "\b" not in told.stdout
    examples = [line for line in told.stdout.splitlines() if re.search(r"kerastudy [a-z]+", line)]
    assert examples
    for line in examples:
        assert len(re.findall(r"kerastudy [a-z]+ ", f"{line} ")) == 1, line


def test_options_of_a_launch_are_in_sections(tmp_path: Path) -> None:
    told = kerastudy_here(tmp_path, "launch", "--help", COLUMNS="80")
    titles = re.findall(r"^(\w[\w ]+):$", told.stdout, flags=re.MULTILINE)
    assert titles == ["What to tune", "Budget", "Search", "Where it runs", "Advanced", "Output"]
    found = {name: each for each in launch_command.params if (name := each.name)}
    sections = launch_command.sections
    listed = [name for names in sections.values() for name in names]
    assert sorted(listed) == sorted({*found} - {"target"})
    for name in listed:
        assert re.search(rf"^  (-q, )?{found[name].opts[0]}[ \n]", told.stdout, flags=re.MULTILINE)


def test_help_calls_the_command_by_its_name(tmp_path: Path) -> None:
    told = kerastudy_here(tmp_path, "launch", "--help")
    assert told.stdout.startswith("Usage: kerastudy launch ")


@pytest.mark.parametrize("mistyped", ["lunch", "shwo", "reproduc"])
def test_a_mistyped_command_has_a_near_match(tmp_path: Path, mistyped: str) -> None:
    told = kerastudy_here(tmp_path, mistyped, expect=2)
    assert mistyped in told.last
    assert "Did you mean" in told.last


@pytest.mark.parametrize(
    "arguments",
    [["launch"], ["launch", "digits", "--nonsense"], ["launch", "digits", "--trials", "many"],
     ["show"], ["ui", "--port", "0"], ["launch", "digits", "--executor", "cloud"]],
)  # fmt: skip
def test_wrong_use_exits_with_2(tmp_path: Path, arguments: list[str]) -> None:
    told = kerastudy_here(tmp_path, *arguments, expect=2)
    assert told.stdout == ""
    assert told.stderr.startswith("kerastudy: ") and told.stderr.count("\n") == 1
    assert arguments[-1] in told.last or "Missing argument" in told.last
    assert f"See: kerastudy {arguments[0]} --help" in told.last
    assert not list(tmp_path.iterdir())


# Nothing is imported for it.
BROKEN = "raise ValueError('broken at once')\n"
LOADING = "loading TensorFlow and broken.py"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "broken.py").write_text(BROKEN, encoding="utf-8")
    return tmp_path


def test_launch_says_what_it_loads_before_it_imports_what_takes_seconds(folder: Path) -> None:
    arguments = ["launch", "broken.py", "--executor", "in-process", "--json"]
    command = [sys.executable, "-X", "importtime", "-P", "-m", "kerastudy", *arguments]
    told = run(folder, command, expect=2)
    assert told.stdout == ""
    lines = told.stderr.splitlines()
    before = "\n".join(lines[: lines.index(LOADING)])
    imported = set(re.findall(r"^import time:.*\|\s*([a-z_]+)", before, flags=re.MULTILINE))
    assert "click" in imported, "importtime says what was imported"
    assert not imported & HEAVY


@pytest.mark.parametrize(
    ("arguments", "waits_for"),
    [
        pytest.param(
            *(["launch", "broken.py", "--executor", "in-process"], LOADING),
            marks=pytest.mark.exhaustive,
        ),
        (["show", "broken"], "reading the store"),
    ],
)
def test_on_a_terminal_the_line_goes_away(
    folder: Path, arguments: list[str], waits_for: str
) -> None:
    create_store(folder / "kerastudy-store")
    child = pexpect.spawn(
        sys.executable,
        ["-P", "-m", "kerastudy", *arguments],
        cwd=str(folder),
        env={**environment(), "TERM": "xterm"},
        dimensions=(24, 80),
        encoding="utf-8",
    )
    child.expect(re.escape(waits_for), timeout=180)
    # Erases the line, before the error takes its place.
    child.expect(r"\x1b\[2K.*kerastudy: ", timeout=180)
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 2
