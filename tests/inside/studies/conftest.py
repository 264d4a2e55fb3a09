"""What holds for all tests of studies that look inside."""

import pytest

from studies.training import Loop


@pytest.fixture(autouse=True)
def calls_by_python_and_by_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes programs train their first epoch batch by batch, and all later ones by a loop."""
    monkeypatch.setattr(Loop, "by_python", 1)
