"""What is sent to a node, and what it is checked by there."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from search_spaces.errors import StudyError, WorkerError
from studies.executors.messages import LoadStudy
from studies.training.process.environment import deciding_variables

_VERSIONS = ("kerastudy", "tensorflow", "keras", "numpy")
_BLOCK_BYTES = 16 * 2**20
# Ray sets the first; this process's are those of a local worker.
_THREADS_VARIABLE = "OMP_NUM_THREADS"


@dataclass(frozen=True)
class Arrival:
    """What a node gets to run a worker.

    Attributes:
        load: The study to load. Its folders are those of the driver's machine.
        launch: A name of this launch, which no other has.
        versions: Those of the driver's machine, by name.
        variables: Environment variables that decide bits; None: not set.
        folder: The folder that the driver runs in; the worker does too, where it exists.
        home: Ray's id of the driver's node.
    """

    load: LoadStudy
    launch: str
    versions: Mapping[str, str]
    variables: Mapping[str, str | None]
    folder: str
    home: str

    @classmethod
    def of(cls, load: LoadStudy, launch: str, folder: str, home: str) -> Arrival:
        """Returns what a node needs, from this process."""
        variables = {**deciding_variables(), _THREADS_VARIABLE: os.environ.get(_THREADS_VARIABLE)}
        return cls(load, launch, versions(), variables, folder, home)

    def check_versions(self, node: str) -> None:
        """Checks this process's versions. Raises WorkerError naming the node if they differ."""
        found = versions()
        differing = [
            f"{name} {found[name]} (here {ours})"
            for name, ours in self.versions.items()
            if found.get(name) != ours
        ]
        if differing:
            raise WorkerError(
                f"{node} has {', '.join(differing)}. Install the same versions on all nodes"
            )

    def set_variables(self) -> None:
        """Gives this process the variables, for the processes that it starts."""
        for name, value in self.variables.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def versions() -> dict[str, str]:
    """Returns the versions that all nodes must have, without importing anything."""
    found = {"Python": platform.python_version()}
    for name in _VERSIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def put_files(paths: Iterable[Path]) -> dict[str, Any]:
    """Puts files into Ray's object store.

    Returns:
        Reference and digest of each, by name.
    """
    import numpy as np
    import ray

    found: dict[str, Any] = {}
    for path in paths:
        content = np.fromfile(path, dtype="uint8")
        found[path.name] = ray.put(content), digest(content)
    return found


def get_files(files: Mapping[str, Any], folder: Path) -> None:
    """Writes files of the object store into a folder, once for all workers that share it.

    Raises:
        StudyError: If one is not what was sent.
    """
    import ray

    for name, (reference, sent) in files.items():
        path = folder / name
        if path.exists():
            continue
        # Mapped from the node's store, not copied.
        content = ray.get(reference)
        if digest(content) != sent:
            raise StudyError(
                f"{name!r} has not arrived as it was sent: its digest is {digest(content)[:16]}… "
                f"and was {sent[:16]}…. Launch again."
            )
        partial = folder / f"partial-{os.getpid()}-{name}"
        content.tofile(partial)
        os.replace(partial, path)


def digest(content: Any) -> str:
    """Returns the SHA-256 of an array of bytes."""
    found = hashlib.sha256()
    for start in range(0, len(content), _BLOCK_BYTES):
        found.update(content[start : start + _BLOCK_BYTES].data)
    return found.hexdigest()
