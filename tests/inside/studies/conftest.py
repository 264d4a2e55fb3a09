"""What holds for all tests of studies that look inside."""

from pathlib import Path

import pytest

from studies.training import Loop


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store for the scripted studies of a file: making one takes longer than any of them."""
    return tmp_path_factory.mktemp("studies") / "store"


@pytest.fixture(autouse=True)
def calls_by_python_and_by_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes programs train their first epoch batch by batch, and all later ones by a loop."""
    monkeypatch.setattr(Loop, "by_python", 1)
