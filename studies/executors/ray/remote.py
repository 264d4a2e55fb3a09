"""A worker on a node of the cluster, from the driver's side: in place of a local process."""

from __future__ import annotations

import contextlib
import multiprocessing
import threading
from collections import deque
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from search_spaces.errors import WorkerError
from studies.executors.messages import Job, SaveChampion
from studies.executors.ray.carrying import SavedModel, Written, packed, put, put_model
from studies.executors.ray.hosting import Begun, Gone, Printed
from studies.executors.worker_process import OnOutput
from tracking.records import EpochResult, TrialResult, TrialSpec

_SECONDS_TO_END = 6.0


class RemoteProcess:
    """An actor's worker process, as `WorkerProcess` is one of this machine.

    It stands for one actor: when that dies, all that it might still send is dropped. `start` asks
    Ray for the actor, which may have to wait for resources. `lost` returns why an actor has died,
    and whether it is to blame.
    """

    def __init__(
        self,
        start: Callable[[], Any],
        on_output: OnOutput,
        lost: Callable[[Exception, str], WorkerError],
    ) -> None:
        self._on_output, self._why_lost = on_output, lost
        # A byte in the pipe for each message: it can be waited for as a local worker's can.
        self._arrived, self._arrives = multiprocessing.Pipe(duplex=False)
        self._messages: deque[object] = deque()
        self._changing = threading.Lock()
        self._closed = False
        self._asked: Job | SaveChampion | None = None
        # The fits of its job that have not ended.
        self._fits: deque[TrialSpec] = deque()
        self._epoch = 0
        self.node = self.node_id = ""
        self._actor = start()
        self._ask()

    @property
    def begun(self) -> bool:
        """Whether it has its resources."""
        return bool(self.node)

    @property
    def connection(self) -> Connection:
        return self._arrived

    @property
    def connects(self) -> bool:
        return False

    @property
    def connected(self) -> bool:
        """Returns whether it has connected: then messages can be waited for at once."""
        return True

    def send(self, message: object) -> None:
        """Sends a message, with the files that it names."""
        if self._closed:
            raise WorkerError("the worker on the cluster has ended", killed=True)
        if isinstance(message, Job | SaveChampion):
            self._asked, self._epoch = message, 0
            self._fits.clear()
        if isinstance(message, Job):
            self._fits.extend(fit.spec for fit in message.fits)
        self._actor.send.remote(packed(message))

    def receive(self) -> Any:
        """Waits for a message; writes files that came before it."""
        while True:
            try:
                self._arrived.recv_bytes()
            except (EOFError, OSError):
                raise WorkerError("the worker on the cluster has ended", killed=True) from None
            message = self._messages.popleft()
            if isinstance(message, WorkerError):
                self._close()
                raise message
            if isinstance(message, Written):
                self._take_files(message)
            elif isinstance(message, SavedModel):
                assert isinstance(self._asked, SaveChampion), "it answers that"
                return put_model(message, self._asked)
            elif not self._is_late(message):
                return message

    def takes_files_alone(self) -> bool:
        """Writes files that have come; returns whether no message has come with them.

        Files may come long before the next message, for which other workers must not wait.
        """
        while self._messages and isinstance(self._messages[0], Written):
            self._arrived.recv_bytes()
            self._take_files(self._messages.popleft())  # type: ignore[arg-type]
        return not (self._messages or self._closed)

    def lose(self, error: WorkerError) -> None:
        """Gives it up, as if its process had ended."""
        self._put(error)

    def kill(self) -> None:
        import ray

        ray.kill(self._actor)

    def begin_to_end(self) -> Any:
        """Asks it to end; returns what can be waited for, or None."""
        with self._changing:
            closed, self._closed = self._closed, True
        return self._actor.end.remote() if self.begun and not closed else None

    def end(self) -> None:
        import ray

        with contextlib.suppress(Exception):
            ending = self.begin_to_end()
            if ending is not None:
                ray.wait([ending], timeout=_SECONDS_TO_END)
        with contextlib.suppress(Exception):
            ray.kill(self._actor)
        self._close()
        self._arrived.close()

    def _take_files(self, written: Written) -> None:
        """Writes files of the present job."""
        if isinstance(self._asked, Job):
            put(written, self._asked)

    def _ask(self) -> None:
        """Asks the actor for its next messages."""
        self._actor.next.remote().future().add_done_callback(self._take)

    def _take(self, answer: Any) -> None:
        """Takes the actor's messages, in a thread of Ray's."""
        try:
            found = answer.result()
        except Exception as error:
            self._put(self._why_lost(error, self.node))
            return
        if isinstance(found, str):
            self._put(WorkerError(found))
            return
        for item in found:
            if isinstance(item, Begun):
                self.node, self.node_id = item.node, item.node_id
            elif isinstance(item, Printed):
                for line in item.lines:
                    with contextlib.suppress(Exception):
                        self._on_output(line)
            elif isinstance(item, Gone):
                self._put(
                    WorkerError(item.reason, killed=item.killed, out_of_memory=item.out_of_memory)
                )
                return
            else:
                self._put(item)
        if not self._closed:
            try:
                self._ask()
            except Exception as error:
                # Ray has shut down since.
                self._put(self._why_lost(error, self.node))

    def _put(self, message: object) -> None:
        with self._changing, contextlib.suppress(OSError):
            if not self._closed:
                self._messages.append(message)
                self._arrives.send_bytes(b"1")

    def _close(self) -> None:
        with self._changing:
            self._closed = True
            self._arrives.close()

    def _is_late(self, message: object) -> bool:
        """Returns whether a message is of another fit than the present one, or came before.

        So messages arrive once and in order, even if Ray sends one again.
        """
        if not isinstance(message, EpochResult | TrialResult):
            return False
        if not self._fits:
            return True
        if (message.number, message.repeat) != (self._fits[0].number, self._fits[0].repeat):
            return True
        if isinstance(message, TrialResult):
            self._epoch = 0
            self._fits.popleft()
            if message.state != "complete":
                self._fits.clear()
            return False
        # A HyperModel's own `fit` reports its last epoch once more, with its outcome.
        late = message.epoch < self._epoch
        self._epoch = max(self._epoch, message.epoch)
        return late
