"""The ground floor stands by itself: importing it brings nothing heavy along."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import search_spaces

ROOT = Path(search_spaces.__file__).parents[1]
HEAVY = ["optuna", "numpy", "tensorflow", "keras", "mlflow", "keras_tuner", "sqlalchemy", "ray"]
TRANSLATED = "import search_spaces as s; o = s.OptunaSpace(s.SearchSpace(s.dropout()))"


@pytest.mark.parametrize(
    ("statement", "heavy"),
    [
        ("import search_spaces as s; s.SearchSpace(s.l2(), s.optimizer()).defaults()", set()),
        ("import search_spaces as s; s.KerasTunerSpace(s.SearchSpace(s.dropout()))", set()),
        (TRANSLATED, set()),
        (f"{TRANSLATED}; o.distributions", {"optuna", "numpy", "sqlalchemy"}),
    ],
)
def test_libraries_are_loaded_when_they_are_needed(statement: str, heavy: set[str]) -> None:
    program = (
        f"import sys, json; sys.path.insert(0, {str(ROOT)!r}); {statement}; "
        f"print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert set(json.loads(done.stdout)) <= heavy


def test_the_table_of_contents_is_complete() -> None:
    for name in search_spaces.__all__:
        assert getattr(search_spaces, name) is not None
