"""Help, version, the first line of a command, and how little is imported for them."""

import itertools
import re
import signal
import subprocess
from importlib.metadata import version
from pathlib import Path

import pexpect
import pytest
from stores import empty_store
from user_commands import KERASTUDY, environment, kerastudy, kerastudy_here

COMMANDS = [
    "new", "launch", "list", "data", "show", "report", "compare", "diagnose", "reproduce",
    "confirm", "evaluate", "promote", "predict", "ui", "export", "push", "delete",
    "doctor",
]  # fmt: skip
HEAVY = {"tensorflow", "keras", "mlflow", "optuna", "keras_tuner", "sklearn", "pandas"}


def imported(errors: str) -> set[str]:
    """Returns the top-level modules that were imported, by what Python prints of their times."""
    names = re.findall(r"^import time:.*\|\s*([\w.]+)$", errors, flags=re.MULTILINE)
    assert "click" in names, "importtime says what was imported"
    return {name.partition(".")[0] for name in names}


def test_nothing_heavy_is_imported(tmp_path: Path) -> None:
    """Other commands import less."""
    empty_store(tmp_path / "kerastudy-store")
    answer = kerastudy(tmp_path, "launch", "--help", PYTHONPROFILEIMPORTTIME="1")
    assert not imported(answer.stderr) & HEAVY
    assert [path.name for path in tmp_path.iterdir()] == ["kerastudy-store"]


def test_launch_says_what_it_loads_before_slow_imports(tmp_path: Path) -> None:
    (tmp_path / "my_study.py").touch()
    arguments = ["launch", "my_study.py", "--executor", "in-process", "--json"]
    timed = environment(PYTHONPROFILEIMPORTTIME="1")
    with subprocess.Popen(
        [*KERASTUDY, *arguments], cwd=tmp_path, env=timed, stderr=subprocess.PIPE, text=True
    ) as process:
        loading = "loading my_study.py\n"
        before = "".join(itertools.takewhile(lambda line: line != loading, process.stderr or ()))
        process.kill()
    assert process.returncode == -signal.SIGKILL and not imported(before) & HEAVY


def test_on_a_terminal_the_line_of_a_wait_goes_away(tmp_path: Path) -> None:
    empty_store(tmp_path / "kerastudy-store")
    child = pexpect.spawn(
        KERASTUDY[0],
        [*KERASTUDY[1:], "show", "broken"],
        cwd=str(tmp_path),
        env={**environment(), "TERM": "xterm"},
        dimensions=(24, 80),
        encoding="utf-8",
    )
    child.expect("reading the store", timeout=180)
    # Erases the line, before the error takes its place.
    child.expect(r"\x1b\[2K.*kerastudy: ", timeout=180)
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 2


def test_version_and_the_list_of_commands(tmp_path: Path) -> None:
    assert kerastudy_here(tmp_path, "--version").stdout == f"kerastudy {version('kerastudy')}\n"
    answer = kerastudy_here(tmp_path, "--help")
    assert set(COMMANDS) <= set(re.findall(r"^  (\w+) +\S", answer.stdout, flags=re.MULTILINE))


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_has_the_common_options_and_examples_to_copy(tmp_path: Path, command: str) -> None:
    """Each example is one line. The text fits 80 columns, and shows no mark-up."""
    text = kerastudy_here(tmp_path, *filter(None, [command]), "--help", COLUMNS="80").stdout
    usage, *lines = text.splitlines()
    assert usage.startswith(f"Usage: kerastudy {command}")
    assert not [line for line in lines if len(line) > 80 or line.endswith("...")]
    assert "\\b" not in text and "\b" not in text
    examples = [line for line in lines if re.search(r"kerastudy [a-z]+", line)]
    assert examples
    for line in examples:
        assert len(re.findall(r"kerastudy [a-z]+ ", f"{line} ")) == 1, line
    for option in ("--store", "--json") if command else ():
        # A new file and data have nothing to do with a store.
        assert option in text or (command in ("new", "data") and option == "--store")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["shwo"], "'shwo'. Did you mean 'show'"),
        (["launch"], "Missing argument"),
        (["launch", "digits", "--nonsense"], "--nonsense"),
        (["launch", "digits", "--trials", "many"], "many"),
        (["ui", "--port", "0"], "0"),
        (["data", "x.csv", "--missing"], "'--missing' requires an argument"),
    ],
)
def test_wrong_use_is_one_line_that_names_the_help(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    answer = kerastudy_here(tmp_path, *arguments, expect=2)
    assert answer.stdout == ""
    assert answer.stderr.startswith("kerastudy: ") and answer.stderr.count("\n") == 1
    assert message in answer.last
    assert re.search(rf"See: kerastudy ({arguments[0]} )?--help", answer.last)
    assert not list(tmp_path.iterdir())
