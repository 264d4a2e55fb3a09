"""A store that is made once, and copied for each test that writes."""

import shutil
from pathlib import Path

import pytest
from stores import store_at

from tracking.store import Store, create_store


@pytest.fixture(scope="session")
def empty_store_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return create_store(tmp_path_factory.mktemp("made") / "store").root


@pytest.fixture
def new_store(empty_store_folder: Path, tmp_path: Path) -> Store:
    return copy_of(empty_store_folder, tmp_path / "store")


@pytest.fixture(scope="module")
def shared_store(empty_store_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    return copy_of(empty_store_folder, tmp_path_factory.mktemp("shared") / "store")


def copy_of(folder: Path, to: Path) -> Store:
    shutil.copytree(folder, to)
    return store_at(to)
