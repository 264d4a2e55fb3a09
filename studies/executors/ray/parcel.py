"""The study and its files on their way to a node, and the check of the node's versions."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from search_spaces.errors import WorkerError
from studies.executors.messages import LoadStudy
from studies.training.process.environment import deciding_variables
from tracking.store.atomic import replacing

_VERSIONS = ("kerastudy", "tensorflow", "keras", "numpy")
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
    """Puts files into Ray's object store; returns the reference of each, by name."""
    import ray

    return {path.name: ray.put(path.read_bytes()) for path in paths}


def get_files(files: Mapping[str, Any], folder: Path) -> None:
    """Writes files of the object store into a folder, once for all workers that share it."""
    import ray

    for name, reference in files.items():
        path = folder / name
        if not path.exists():
            with replacing(path) as partial:
                partial.write_bytes(ray.get(reference))
