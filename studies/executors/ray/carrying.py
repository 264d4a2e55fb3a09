"""Files between the driver's machine and a node: a study's, and those of each trial.

A node need not see the driver's disk. What a training reads goes to the node with its task; what it
writes comes back as soon as it exists, so that a trial whose node dies resumes from its state.
"""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from search_spaces.errors import StudyError, WorkerError
from studies.executors.messages import ChampionSaved, Job, LoadStudy, SaveChampion
from studies.training.process.environment import deciding_variables
from tracking.records import TrialTask
from tracking.records.validation_predictions import predictions_beside
from tracking.store.files import replacing

_READ = ("state", "origin")
_WRITTEN = ("state", "checkpoint", "scores")


@dataclass(frozen=True)
class Sent:
    """A message to a worker process, with the files that it reads, by what they are."""

    message: object
    files: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Written:
    """Files that a training has written so far: their contents, by what they are."""

    files: Mapping[str, bytes]


@dataclass(frozen=True)
class SavedModel:
    """A champion, saved as a model: its files by their path, and the message about it."""

    files: Mapping[str, bytes]
    predictions: bytes | None
    message: ChampionSaved


def packed(message: object) -> Sent:
    """Returns a message with the contents of the files that it names."""
    if isinstance(message, Job):
        return Sent(message, dict(_contents(_paths(message, _READ))))
    if isinstance(message, SaveChampion):
        return Sent(message, dict(_contents({"checkpoint": message.checkpoint})))
    return Sent(message)


def put(written: Written, job: Job) -> None:
    """Writes the files of a job's fits where they belong."""
    paths = _paths(job, _WRITTEN)
    for key, content in written.files.items():
        # As a worker of this machine writes a state.
        _write(paths[key], content, keeping=key.startswith("state"))


def put_model(saved: SavedModel, asked: SaveChampion) -> ChampionSaved:
    """Writes a champion's model where it was asked for."""
    for place, content in saved.files.items():
        _write(asked.folder / place, content)
    if saved.predictions is not None:
        _write(predictions_beside(asked.folder), saved.predictions)
    return saved.message


class NodeFiles:
    """The files of the present request on a node, in a folder of this worker alone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written: dict[str, Path] = {}
        self._seen: dict[str, tuple[int, int]] = {}
        self._model: Path | None = None

    def unpacked(self, sent: Sent) -> object:
        """Returns a message whose files are here."""
        message = sent.message
        self._clear()
        if isinstance(message, Job):
            job = Job(tuple(replace(fit, **self._here(fit)) for fit in message.fits))
            paths = _paths(job, _READ)
            for key, content in sent.files.items():
                paths[key].write_bytes(content)
            self._written = _paths(job, _WRITTEN)
            self._seen = dict(self._present())
            return job
        if isinstance(message, SaveChampion):
            checkpoint = self._folder / message.checkpoint.name
            for content in sent.files.values():
                checkpoint.write_bytes(content)
            self._model = self._folder / "champion" / message.folder.name
            self._model.parent.mkdir()
            return replace(message, checkpoint=checkpoint, folder=self._model)
        return message

    def written(self) -> Written | None:
        """Returns the files that have changed since the last call; None if none has."""
        found: dict[str, bytes] = {}
        for name, mark in self._present():
            if self._seen.get(name) != mark:
                with contextlib.suppress(FileNotFoundError):
                    found[name] = self._written[name].read_bytes()
                    self._seen[name] = mark
        return Written(found) if found else None

    def saved_model(self, message: ChampionSaved) -> SavedModel:
        """Returns the model that was saved, with its files."""
        folder = self._model
        assert folder is not None, "it was asked for"
        files = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }
        beside = predictions_beside(folder)
        return SavedModel(files, beside.read_bytes() if beside.exists() else None, message)

    def _here(self, fit: TrialTask) -> dict[str, Any]:
        """Returns the paths of a fit's files on this node."""
        names = dict.fromkeys((*_READ, *_WRITTEN))
        paths = {name: getattr(fit, name) for name in names}
        return {name: path and self._folder / path.name for name, path in paths.items()}

    def _present(self) -> Iterator[tuple[str, tuple[int, int]]]:
        for name, path in self._written.items():
            with contextlib.suppress(FileNotFoundError):
                found = path.stat()
                yield name, (found.st_mtime_ns, found.st_size)

    def _clear(self) -> None:
        self._written, self._seen, self._model = {}, {}, None
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)


def _paths(job: Job, names: Iterable[str]) -> dict[str, Path]:
    """Returns the paths of files of a job's fits, by their kind and the fit's place."""
    return {
        f"{name} {place}": path
        for place, fit in enumerate(job.fits)
        for name in names
        if (path := getattr(fit, name)) is not None
    }


def _contents(paths: Mapping[str, Path]) -> Iterator[tuple[str, bytes]]:
    for name, path in paths.items():
        with contextlib.suppress(FileNotFoundError):
            yield name, path.read_bytes()


def _write(path: Path, content: bytes, *, keeping: bool = False) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, keeping=keeping) as partial:
            partial.write_bytes(content)
    except OSError as error:
        raise StudyError(
            f"{str(path)!r} cannot be written: {error}. Make room, then launch again to resume."
        ) from None


_VERSIONS = ("kerastudy", "tensorflow", "keras", "numpy")
# Ray sets the first; this process's are those of a local worker.
_THREADS_VARIABLE = "OMP_NUM_THREADS"


@dataclass(frozen=True)
class Arrival:
    """What a node gets to run a worker."""

    load: LoadStudy  # Its folders are those of the driver's machine.
    launch: str  # A name that no other launch has.
    versions: Mapping[str, str]  # Of the driver's machine, by name.
    variables: Mapping[str, str | None]  # Environment variables that decide bits; None: not set.
    folder: str  # The folder that the driver runs in; the worker does too, where it exists.
    home: str  # Ray's id of the driver's node.

    @classmethod
    def of(cls, load: LoadStudy, launch: str, folder: str, home: str) -> Arrival:
        """Returns what a node needs, from this process."""
        variables = {**deciding_variables(), _THREADS_VARIABLE: os.environ.get(_THREADS_VARIABLE)}
        return cls(load, launch, versions(), variables, folder, home)

    def check_versions(self, node: str) -> None:
        """Raises WorkerError, which names the node, if this process has other versions."""
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
