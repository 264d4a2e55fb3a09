"""The data of a study's file: loaded on one node, and sent to the others by Ray's object store.

A worker process loads data in the first process of its machine that needs it, under a lock, into
files that all map to memory. On other nodes the actor holds this lock until the files are there.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from filelock import FileLock, Timeout

from studies.data.parts.sharing import LOCK, SPLITS
from studies.executors.ray.parcel import get_files, put_files

_LOOKS_FOR_HOME = 2


@dataclass(frozen=True)
class LoadData:
    """Load the data, and send its files if they have at most so many bytes. To an actor."""

    most: int = 0


@dataclass(frozen=True)
class DataThere:
    """The files of the data: references and digests by name. From an actor, and to the others.

    Without files, each node loads the data itself: it is too large, or not held in arrays.
    """

    files: Mapping[str, Any] = field(default_factory=dict)


class NodeData:
    """The data on a node, from the actor's side.

    Args:
        folder: Where the worker processes of this node share it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._most = 0
        # Taken in one thread, and released in another.
        self._lock = FileLock(folder / LOCK, thread_local=False)
        # If another actor of this node has it, or its worker process, that one waits or loads.
        with contextlib.suppress(Timeout):
            self._lock.acquire(timeout=0)

    def take(self, message: LoadData | DataThere) -> None:
        """Lets the worker process load the data, or gives it the data of another node."""
        try:
            if isinstance(message, LoadData):
                self._most = message.most
            elif not (self._folder / SPLITS).exists():
                get_files(message.files, self._folder)
        finally:
            self._lock.release()

    def sent(self, loaded: bool) -> DataThere | None:
        """Returns the files of the data, once, if they are to be sent and are there.

        Args:
            loaded: Whether the worker process has loaded the study, or can't.
        """
        there = (self._folder / SPLITS).exists()
        if not self._most or not (there or loaded):
            return None
        most, self._most = self._most, 0
        # The description of the arrays comes last: it says that they are complete.
        paths = [p for p in self._folder.glob("*.npy") if not p.name.startswith("sent-")]
        paths += [self._folder / SPLITS] if there else []
        if not there or sum(path.stat().st_size for path in paths) > most:
            return DataThere()
        return DataThere(put_files(paths))


class Member(Protocol):
    """A worker on a node, as `DataOnce` knows it."""

    @property
    def node_id(self) -> str:
        """Ray's id of its node."""
        ...

    def tell(self, message: LoadData | DataThere) -> None:
        """Sends a message about data to its actor."""
        ...


class DataOnce:
    """Decides which node loads the data; from the driver's side.

    Args:
        home: Ray's id of the driver's node, which has the user's files if any has.
        most: The most bytes to send.
    """

    def __init__(self, home: str, most: int) -> None:
        self._home, self._most = home, most
        self._changing = threading.RLock()
        self._members: list[Member] = []
        self._waiting: list[Member] = []
        self._loads: Member | None = None
        self._there: DataThere | None = None
        self._looks = 0

    def begun(self, member: Member) -> None:
        """Takes a worker that has begun on a node."""
        with self._changing:
            self._members.append(member)
            if self._there is not None:
                member.tell(self._there)
            elif self._loads is None and member.node_id == self._home:
                self._let_load(member)
            elif self._loads is not None and member.node_id == self._loads.node_id:
                member.tell(LoadData())
            else:
                self._waiting.append(member)

    def arrived(self, member: Member, there: DataThere) -> None:
        """Takes the data, and sends it to the nodes that wait for it."""
        with self._changing:
            if member is not self._loads:
                return
            self._there = there
            waiting, self._waiting = self._waiting, []
            for each in waiting:
                each.tell(there)

    def lost(self, member: Member) -> None:
        """Takes a worker that has ended; what it has put into the store ends with it."""
        with self._changing:
            self._members = [each for each in self._members if each is not member]
            self._waiting = [each for each in self._waiting if each is not member]
            if member is self._loads:
                self._loads = self._there = None
                ready = [each for each in self._members if each not in self._waiting]
                if ready:
                    self._let_load(ready[0])

    def look(self) -> None:
        """Chooses a node if none is the driver's; called from time to time."""
        with self._changing:
            if self._loads is None and self._waiting:
                self._looks += 1
                if self._looks >= _LOOKS_FOR_HOME:
                    self._let_load(self._waiting[0])

    def _let_load(self, member: Member) -> None:
        self._loads, self._looks = member, 0
        member.tell(LoadData(self._most))
        for each in [each for each in self._waiting if each.node_id == member.node_id]:
            self._waiting.remove(each)
            if each is not member:
                each.tell(LoadData())
