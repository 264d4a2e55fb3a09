"""What papers say of files holds: decisions, the changelog, paths, the rooms."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DECISIONS = ROOT / "docs" / "decisions"
FLOORS = ("search_spaces", "tracking", "studies")
FOLDERS = (*FLOORS, "tests", "scripts", "docs", "examples", "benchmarks", "changes")
PAPERS = ["README.md", "README.ko.md", "CONTRIBUTING.md", "examples/README.md"]
PAPERS += sorted(str(page.relative_to(ROOT)) for page in (ROOT / "docs").glob("*.md"))


def test_tests_and_other_rooms_import_rooms_and_tests_of_behaviour_import_none() -> None:
    """Files can then be moved. A module itself may be imported, to change a name in it.

    Only tests in `inside` and their support import rooms.
    """
    deep, outside = [], set()
    for file in (file for folder in (*FLOORS, "tests") for file in (ROOT / folder).rglob("*.py")):
        place = file.relative_to(ROOT)
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(FLOORS):
                path = ROOT / str(node.module).replace(".", "/")
                room = path.relative_to(ROOT).parts[:2]
                is_room = _is_module(path) and room == path.relative_to(ROOT).parts
                is_module = all(_is_module(path / name.name) for name in node.names)
                if not is_room and not is_module and room != place.parts[:2]:
                    deep.append(f"{place}:{node.lineno} {node.module}")
                if place.parts[0] == "tests" and place.parts[1] not in ("inside", "support"):
                    outside.add(str(place))
    assert deep == []
    assert outside == set()


def test_rooms_list_the_names_that_are_imported_from_them() -> None:
    imported = set()
    folders = [ROOT / folder for folder in (*FLOORS, "tests", "benchmarks", "golden")]
    for file in [ROOT / "kerastudy.py", *(f for folder in folders for f in folder.rglob("*.py"))]:
        room, rooms = ".".join(file.relative_to(ROOT).parts[:2]), {}
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module != room:
                imported |= {f"{node.module}.{name.name}" for name in node.names}
                rooms |= {n.asname or n.name: f"{node.module}.{n.name}" for n in node.names}
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                imported.add(f"{rooms.get(node.value.id)}.{node.attr}")
    for stub in (stub for floor in FLOORS for stub in (ROOT / floor).rglob("__init__.pyi")):
        room = ".".join(stub.parent.relative_to(ROOT).parts)
        listed = set(re.findall(r" as (\w+)$", stub.read_text(encoding="utf-8"), re.MULTILINE))
        assert [name for name in listed if f"{room}.{name}" not in imported] == [], room


def test_folders_have_at_most_ten_files() -> None:
    """The catalog has a file for each study."""
    for folder in {file.parent for floor in FLOORS for file in (ROOT / floor).rglob("*.py")}:
        files = [file for file in folder.glob("*.py") if file.name != "__init__.py"]
        assert len(files) <= 10 or folder.name == "catalog", folder


def _is_module(path: Path) -> bool:
    return path.is_dir() or path.with_suffix(".py").is_file()


def test_the_index_has_every_decision_under_a_number_of_its_own() -> None:
    index = (DECISIONS / "README.md").read_text(encoding="utf-8")
    linked = re.findall(r"^- \[\d{4}\]\((\d{4}-[\w-]+\.md)\)", index, re.MULTILINE)
    assert linked == sorted(file.name for file in DECISIONS.glob("[0-9]*.md"))
    assert len({name[:4] for name in linked}) == len(linked)


def test_scripts_run_the_one_test_command_of_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"^python3 .* pytest -n auto$", readme, re.MULTILINE)
    assert len(commands) == 1, "scripts/test and .ci/run look for it"
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for script in (ROOT / "scripts").iterdir():
        assert os.access(script, os.X_OK), script
        assert f"`scripts/{script.name}`" in contributing
    for name in ("check", "docs", "test"):
        assert f"scripts/{name}" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


@pytest.mark.parametrize("paper", PAPERS)
def test_paths_in_papers_exist(paper: str) -> None:
    text = (ROOT / paper).read_text(encoding="utf-8")
    named = set(re.findall(rf"`((?:{'|'.join(FOLDERS)})/[\w/.-]*)`", text))
    named |= set(re.findall(r"\]\(([\w./-]+)\)", text))
    folder = (ROOT / paper).parent
    missing = [n for n in named if not (ROOT / n).exists() and not (folder / n).exists()]
    assert missing == []


def test_the_page_of_the_catalog_has_the_answers_of_its_studies() -> None:
    page = (ROOT / "docs" / "catalog.md").read_text(encoding="utf-8")
    answers = dict(re.findall(r"^\| [^|]*\| `([\w-]+)` \|[^|]*\| (.*) \|$", page, re.MULTILINE))
    for file in (ROOT / "studies" / "catalog").glob("[a-z]*.py"):
        study = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
        decimals = re.compile(r"\d+\.\d+")
        answer = answers.pop(file.stem.replace("_", "-"))
        assert set(decimals.findall(answer)) <= set(decimals.findall(study)), file.stem
    assert not answers


def test_the_page_shows_the_rooms_and_a_trials_way_as_they_are() -> None:
    """Launches a study of one trial, and observes it."""
    command = [sys.executable, ROOT / "scripts" / "architecture", "--check"]
    check = subprocess.run(command, capture_output=True, text=True)
    assert check.returncode == 0, check.stdout + check.stderr
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = page.split("<!-- made: epoch -->")[1].split("<!-- end -->")[0].count("| `")
    assert 0 < rows <= 10, "an epoch passes few files"
