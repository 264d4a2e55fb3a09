"""The wheel: built, installed away from the checkout, used from a user's own folder."""

import sys
import zipfile
from pathlib import Path

import pytest
from study_file import write_study
from user_commands import as_json, run

ROOT = Path(__file__).parents[2]


@pytest.mark.exhaustive
def test_a_wheel_launches_and_reproduces_a_users_study(tmp_path: Path) -> None:
    build = ("-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), ".")
    run(ROOT, [sys.executable, *build])
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {"kerastudy.py", "search_spaces/py.typed", "studies/catalog/digits.py"} <= set(names)
    assert not [n for n in names if n.startswith(("tests", "benchmarks"))]
    installed = tmp_path / "installed"
    install = ("-m", "pip", "install", "--no-deps", "--target", str(installed), str(wheel))
    run(tmp_path, [sys.executable, *install])

    folder = tmp_path / "user's folder"
    (folder / "studies").mkdir(parents=True)
    (folder / "studies" / "__init__.py").write_text("NAME = 'theirs'\n")
    write_study(folder / "studies", "mine.py", name='"작은 연구"')
    at = {"PYTHONPATH": str(installed)}
    imported = "import kerastudy; print(kerastudy.__file__)"
    where = run(folder, [sys.executable, "-P", "-c", imported], **at)
    assert Path(where.stdout.strip()).is_relative_to(installed)
    command = str(installed / "bin" / "kerastudy")
    options = ("--trials", "1", "--verify", "off", "--json")
    answer = run(folder, [command, "launch", "studies/mine.py", *options], **at)
    assert as_json(answer)["trials"]["complete"] == 1
    again = run(folder, [command, "reproduce", "작은 연구", "--json"], **at)
    assert as_json(again)["identical"] is True
