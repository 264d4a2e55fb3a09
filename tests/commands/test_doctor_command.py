"""``kerastudy doctor`` on a real study: what it prints, and how it exits."""

from pathlib import Path

from user_commands import as_json, kerastudy_here


def test_nothing_is_wrong_with_what_was_launched(copied_store: Path, tmp_path: Path) -> None:
    answer = kerastudy_here(tmp_path, "doctor", "--store", copied_store)
    assert (answer.stdout, answer.stderr) == (f"nothing wrong in {str(copied_store)!r}\n", "")
    answer = kerastudy_here(tmp_path, "doctor", "--fix", "--json", "--store", copied_store)
    empty = {"findings": [], "running": []}
    assert as_json(answer) == {"store": str(copied_store), **empty}


def test_what_is_wrong_and_mended_is_a_line_each(copied_store: Path, tmp_path: Path) -> None:
    for number in (1, 2):
        (copied_store / f"partial-{number}-store.json").touch()
    answer = kerastudy_here(tmp_path, "doctor", "--store", copied_store, expect=1)
    lines = answer.stdout.splitlines()
    assert len([line for line in lines if line.startswith("wrong  ")]) == 2
    assert lines[-1] == f"2 wrong in {str(copied_store)!r}"
    answer = kerastudy_here(tmp_path, "doctor", "--fix", "--store", copied_store)
    lines = answer.stdout.splitlines()
    assert all(line.startswith("mended  ") for line in lines[:-1])
    assert lines[-1] == f"2 wrong in {str(copied_store)!r}, 2 mended"
