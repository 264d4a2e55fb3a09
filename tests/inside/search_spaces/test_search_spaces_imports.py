"""The ground floor stands by itself: importing it brings nothing heavy along."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import search_spaces

ROOT = Path(search_spaces.__file__).parents[1]
HEAVY = ["optuna", "numpy", "tensorflow", "keras", "mlflow", "keras_tuner", "sqlalchemy", "ray"]


def loaded_after(statement: str) -> set[str]:
    """The heavy modules that a fresh process has loaded after a statement."""
    program = (
        f"import sys, json; sys.path.insert(0, {str(ROOT)!r}); {statement}; "
        f"print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(json.loads(done.stdout))


def test_declaring_a_space_loads_nothing_heavy() -> None:
    statement = "import search_spaces as s; s.SearchSpace(s.l2(), s.optimizer()).defaults()"
    assert loaded_after(statement) == set()


def test_optuna_is_loaded_when_it_is_needed() -> None:
    make = "from search_spaces import OptunaSpace as O; "
    make += "import search_spaces as s; "
    assert loaded_after(make + "o = O(s.SearchSpace(s.dropout()))") == set()
    used = loaded_after(make + "o = O(s.SearchSpace(s.dropout())); o.distributions")
    assert "optuna" in used
    assert "tensorflow" not in used


def test_the_table_of_contents_is_complete() -> None:
    for name in search_spaces.__all__:
        assert getattr(search_spaces, name) is not None
    assert (Path(search_spaces.__file__).parent / "py.typed").exists()
