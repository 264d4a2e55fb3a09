"""A study that is launched once, and looked at by many tests."""

import shutil
from pathlib import Path

import pytest
from study_file import Launched, write_study
from user_commands import kerastudy_here


@pytest.fixture(scope="session")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> Launched:
    """Three trials of two epochs; tests must not write into this store."""
    folder = tmp_path_factory.mktemp("launched")
    printing = "print('printed by the study file')\n"
    file = write_study(folder / "my studies", imports=printing)
    store = folder / "my store"
    options = ("--executor", "in-process", "--verify", "off", "--json")
    answer = kerastudy_here(folder, "launch", file, "--store", store, *options)
    return Launched(folder, file, store, answer)


@pytest.fixture
def copied_store(blobs: Launched, tmp_path: Path) -> Path:
    """A copy of the launched store."""
    store = tmp_path / "copied store"
    shutil.copytree(blobs.store, store)
    return store
