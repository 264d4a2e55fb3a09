"""A store with a study of six trials, made once, and copied for each test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from doctored import launch, outcome
from stores import store_at

from tracking.store import Store


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a study of six trials."""
    folder = tmp_path_factory.mktemp("made") / "store"
    launch(folder)
    return folder


@pytest.fixture(scope="session")
def undisturbed(made: Path, tmp_path_factory: pytest.TempPathFactory) -> list[tuple]:
    """What the study comes to with nine trials."""
    folder = tmp_path_factory.mktemp("undisturbed") / "store"
    shutil.copytree(made, folder)
    return outcome(launch(folder, trials=9))


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Store:
    shutil.copytree(made, tmp_path / "store")
    opened = store_at(tmp_path / "store")
    return opened
