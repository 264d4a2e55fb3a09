"""A user's repository with packages that have the names of ours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = {
    # What `__init__` defines; a function that is called like its module; a circular import.
    "studies/__init__.py": """
from .scale import scale
from . import helpers
from studies.helpers import UNITS
MY = 1
""",
    "studies/scale.py": "def scale(x):\n    return 2 * x\n",
    "studies/helpers.py": "from studies import scale\nUNITS = scale(8)\n",
    # Called like modules of ours: a package for a package, a module for a package, a package for a
    # module.
    "studies/data/__init__.py": "from .rows import load_rows\n",
    "studies/data/rows.py": "from studies import MY\ndef load_rows():\n    return MY\n",
    "studies/training.py": "RATE = 0.5\n",
    "studies/progress/__init__.py": "from .inner import SPEED\n",
    "studies/progress/inner.py": "SPEED = 3\n",
    "studies/deep/__init__.py": "",
    "studies/deep/deeper.py": "from .. import MY\nfrom ..data import load_rows\n",
    "studies/late.py": "raise AssertionError('nothing is built by loading')\n",
    "tracking/__init__.py": "class Tracker:\n    pass\n",
    "search_spaces/__init__.py": "raise ImportError('nothing imports it')\n",
    "use.py": """
from studies import MY, UNITS, scale, helpers, training
from studies.data import load_rows
from studies.data.rows import load_rows as same
from studies.training import RATE
from studies.progress import SPEED
from studies.progress.inner import SPEED as also
from studies.deep.deeper import MY as deep
from tracking import Tracker
import studies.helpers
import studies.deep.deeper
assert (MY, UNITS, scale(3), deep, studies.MY) == (1, 16, 6, 1, 1)
assert load_rows() == same() == 1 and training.RATE == RATE == 0.5 and SPEED == also == 3
assert studies.helpers is helpers and helpers.UNITS == 16 and studies.deep.deeper.MY == 1
""",
    # A file within such a package, with relative imports.
    "studies/mine.py": """
import kerastudy as ks
from . import MY, helpers
from .data import load_rows
import use

def build(hp):
    from studies import late

study = ks.Study(f"mine {MY + load_rows()}", data=ks.datasets.digits(), build=build)
""",
}
CHECK = """
import pickle, sys
from pathlib import Path
import kerastudy as ks
import use
import studies.progress, studies.data, studies.study, tracking.store.folder
from studies.user_code import load_study
from studies.user_code import resolve_target
from studies.user_code import own_modules

study, code = load_study(resolve_target(sys.argv[1]))
assert study.name == "mine 2" and isinstance(study, ks.Study), study
# Ours are ours.
assert studies.study.Study is ks.Study and studies.progress.make_progress and tracking.Store
# By the names that they have without us.
for thing in (use.scale, use.load_rows, use.Tracker):
    assert pickle.loads(pickle.dumps(thing)) is thing
# The code of the study is theirs, with what no function has imported yet.
found = own_modules(Path(sys.argv[1]).absolute(), code.source, "studies")
assert set(found) == {
    "../use.py", "__init__.py", "scale.py", "helpers.py", "data/__init__.py", "data/rows.py",
    "training.py", "progress/__init__.py", "progress/inner.py",
    "deep/__init__.py", "deep/deeper.py",
    "late.py", "../tracking/__init__.py",
}, sorted(found)
assert "tensorflow" not in sys.modules
"""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("a repository")
    (root / ".git").mkdir()
    for name, text in REPOSITORY.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


def run(code: str, repository: Path) -> subprocess.CompletedProcess[str]:
    """Runs code as a script in the repository."""
    script = repository / "script.py"
    script.write_text(code, encoding="utf-8")
    command = [sys.executable, str(script), "studies/mine.py"]
    return subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "before",
    [
        "",
        # Theirs first: ours take the names over, theirs do not run twice.
        "import use\n",
        # As notebooks do; ours first.
        "import sys; here = sys.path.pop(0)\nimport kerastudy\nsys.path.append(here)\n",
    ],
    ids=["after ours", "before ours", "from a path that changes"],
)
def test_both_are_found(repository: Path, before: str) -> None:
    done = run(before + CHECK, repository)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_a_name_that_both_define_is_ours_and_said_so(repository: Path) -> None:
    file = repository / "studies" / "interruption.py"
    file.write_text("import math\nX = 1\ndef raising_interrupts(): ...\n", encoding="utf-8")
    try:
        done = run(
            "import kerastudy\nfrom studies.interruption import X, raising_interrupts\n"
            "assert raising_interrupts.__doc__\n",
            repository,
        )
    finally:
        file.unlink()
    assert done.returncode == 0, done.stderr
    assert "both define raising_interrupts:" in done.stderr


def test_an_error_in_theirs_is_theirs(repository: Path) -> None:
    done = run("import kerastudy\nfrom search_spaces import SPACE\n", repository)
    assert "ImportError: nothing imports it" in done.stderr
