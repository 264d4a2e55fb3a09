"""Messages between the driver's machine and a node, with the contents of the files they name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from search_spaces.errors import StudyError
from studies.executors.messages import RunFits, SaveChampion
from tracking.records import TrialTask
from tracking.store.files import replacing

# The folder of a champion's model on a node, in that of the request's files.
CHAMPION = "champion"
_FILES = ("state", "origin", "checkpoint", "scores")


@dataclass(frozen=True)
class Parcel:
    """A message, with files by their names; from a node, also with the lines printed before it."""

    message: object = None
    files: Mapping[str, bytes] = field(default_factory=dict)
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class Begun:
    """The actor has its resources, and works on this node."""

    node: str
    node_id: str


def packed(message: object) -> Parcel:
    """Returns a message with the files that it names and that exist."""
    paths: list[Path | None] = []
    if isinstance(message, RunFits):
        paths = [path for fit in message.fits for path in (fit.state, fit.origin)]
    elif isinstance(message, SaveChampion):
        paths = [message.checkpoint]
    return Parcel(message, {p.name: p.read_bytes() for p in paths if p is not None and p.exists()})


def moved(request: RunFits | SaveChampion, folder: Path) -> RunFits | SaveChampion:
    """Returns a request whose files are in another folder."""
    if isinstance(request, SaveChampion):
        model = folder / CHAMPION / request.folder.name
        return replace(request, checkpoint=folder / request.checkpoint.name, folder=model)

    def there(fit: TrialTask) -> TrialTask:
        paths: dict[str, Any] = {name: getattr(fit, name) for name in _FILES}
        return replace(fit, **{name: path and folder / path.name for name, path in paths.items()})

    return RunFits(tuple(there(fit) for fit in request.fits))


def written_by(request: object) -> Iterator[Path]:
    """Yields the files that a job's fits write."""
    if isinstance(request, RunFits):
        for fit in request.fits:
            yield from filter(None, (fit.state, fit.checkpoint, fit.scores))


def put(files: Mapping[str, bytes], request: object) -> None:
    """Writes files that have come from a node where the request asked for them."""
    paths = {path.name: path for path in written_by(request)}
    if isinstance(request, SaveChampion):
        paths = {name: request.folder.parent / name for name in files}
    states = {fit.state for fit in request.fits} if isinstance(request, RunFits) else set()
    for name in files.keys() & paths:
        path = paths[name]
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # As a worker of this machine writes a state.
            with replacing(path, keeping=path in states) as partial:
                partial.write_bytes(files[name])
        except OSError as error:
            raise StudyError(
                f"{str(path)!r} cannot be written: {error}. Make room, then launch again to resume."
            ) from None
