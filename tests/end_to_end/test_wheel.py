"""The wheel: built, installed away from the checkout, used from a user's own folder."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from user_commands import as_json, environment, write_study

from tracking.store import create_store

ROOT = Path(__file__).parents[2]


def run(*command: str, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, cwd=cwd, env=environment(**more), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the wheel is installed."""
    tmp_path = tmp_path_factory.mktemp("wheel")
    run(
        sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), ".",
        cwd=ROOT,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {"kerastudy.py", "search_spaces/py.typed", "studies/catalog/digits.py"} <= set(names)
    assert not [n for n in names if n.startswith(("tests", "benchmarks"))]
    installed = tmp_path / "installed"
    run(
        sys.executable, "-m", "pip", "install", "--no-deps", "--target", str(installed), str(wheel),
        cwd=tmp_path,
    )  # fmt: skip
    return installed


@pytest.mark.exhaustive
def test_a_wheel_launches_a_users_study(installed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "user's folder"
    (folder / "studies").mkdir(parents=True)
    (folder / "studies" / "__init__.py").write_text("NAME = 'theirs'\n")
    write_study(folder / "studies", "mine.py")
    path = str(installed)
    where = run(
        sys.executable, "-P", "-c", "import kerastudy; print(kerastudy.__file__)",
        cwd=folder, PYTHONPATH=path,
    )  # fmt: skip
    assert Path(where.stdout.strip()).is_relative_to(installed)
    create_store(folder / "kerastudy-store")
    done = run(
        str(installed / "bin" / "kerastudy"), "launch", "studies/mine.py", "--trials", "1",
        "--json", "--verify", "off", cwd=folder, PYTHONPATH=path,
    )  # fmt: skip
    assert as_json(done)["trials"]["complete"] == 1


@pytest.mark.exhaustive
def test_a_wheel_reproduces_a_trial(installed: Path, tmp_path: Path) -> None:
    path = str(installed)
    write_study(tmp_path)
    run(
        str(installed / "bin" / "kerastudy"), "launch", "study.py", "--trials", "1",
        cwd=tmp_path, PYTHONPATH=path,
    )  # fmt: skip
    again = run(
        str(installed / "bin" / "kerastudy"), "reproduce", "작은 연구", "--json",
        cwd=tmp_path, PYTHONPATH=path,
    )  # fmt: skip
    assert as_json(again)["identical"] is True
