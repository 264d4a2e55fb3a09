"""Opens stores that must exist, and reads studies in them."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tracking.history import StudyHistory, read_study
from tracking.store import Store, create_store, open_store


def store_at(folder: str | Path) -> Store:
    store = open_store(folder)
    assert store is not None, f"there is no store in {folder}"
    return store


def empty_store(folder: Path) -> Path:
    return create_store(folder).root


def history_at(folder: str | Path, name: str) -> StudyHistory:
    return read_study(store_at(folder), name)


HOLD = """
import sys
from pathlib import Path
from tracking.store import locked_study

with locked_study(Path(sys.argv[1]), "held"):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def held_by_a_process(folder: Path) -> Iterator[int]:
    """Has a study's folder locked by another process, which is killed at the end. Yields its id."""
    command = [sys.executable, "-c", HOLD, str(folder)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        try:
            yield process.pid
        finally:
            process.kill()
