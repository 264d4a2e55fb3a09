"""What holds for all end-to-end tests."""

from __future__ import annotations

import pytest

from studies.training.process.determinism import configure_tensorflow


@pytest.fixture(scope="session", autouse=True)
def threads_before_any_command() -> None:
    """Gives TensorFlow the threads of a trial, also if no test module has imported it yet."""
    configure_tensorflow(1)
