"""A worker, as the driver sees it: its messages, its job, and its process, replaced if it dies.

| driver sends | worker answers |
|---|---|
| `LoadStudy` | `Loaded` or `Failed` |
| `RunFits` | `EpochResult` after each epoch, `TrialResult` after each fit, or `Failed` |
| a `Decision` after each epoch | |
| `SaveChampion`, `Ask` | `Answer` or `Failed` |
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

from search_spaces import INITIALIZERS, SearchSpace
from search_spaces.errors import KerastudyError, StudyError, WorkerError
from studies.executors import worker_main
from studies.executors.executor_protocol_and_jobs import Handler
from studies.user_code import ShippedStudy, Target, place_of
from tracking.records import EpochResult, StudyDescription, TrialSpec, TrialTask


@dataclass(frozen=True)
class LoadStudy:
    """Load this study."""

    target: Target | ShippedStudy
    shared: Path  # The launch's temporary folder, through which workers share the loaded data.
    overrides: Mapping[str, Any] = field(default_factory=dict)  # Settings to replace, by name.
    data: str = ""  # The path of a file that replaces the study's data, or empty.
    threads: int = 1  # The number of TensorFlow's threads, unless the study sets it.


@dataclass(frozen=True)
class Loaded:
    """The study is loaded."""

    description: StudyDescription
    environment: Mapping[str, str]
    model_bytes: int = 0  # The size of the default model's weights; 0 if there is no such model.
    gpus: int = 0  # How many GPUs TensorFlow sees in the worker.


@dataclass(frozen=True)
class RunFits:
    """Run these fits one after another. Stop after a fit that is not complete."""

    fits: tuple[TrialTask, ...]


@dataclass(frozen=True)
class SaveChampion:
    """Save a trial's best weights as a model for MLflow; the answer is its validation metrics."""

    spec: TrialSpec
    checkpoint: Path
    space: SearchSpace
    folder: Path


@dataclass(frozen=True)
class Ask:
    """Call ``function(session, *arguments)`` with the worker's `Session`."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class Answer:
    """The value that an `Ask` or a `SaveChampion` asks for."""

    value: Any


@dataclass(frozen=True)
class Failed:
    """The worker could not load the study or answer a request, because of `error`."""

    error: KerastudyError


# After this many processes that died while loading the study or answering a request, no other
# process is started, because the study or the request is probably the cause.
_ATTEMPTS = 3

OnOutput = Callable[[str], None]
"""A function that is called with each line that a worker process prints."""


def check_same(before: StudyDescription, now: StudyDescription) -> None:
    """Raises StudyError if two processes have loaded different code, data or spaces."""
    changes = now.code.changes_since(before.code)
    if changes:
        raise StudyError(
            f"The code of the study {before.name!r} has changed while it was loaded: "
            f"{', '.join(changes)}",
            hint="Launch again.",
        )
    if before.data.digest != now.data.digest or before.space != now.space:
        raise StudyError(
            f"The data or the imports of the study {before.name!r} have changed while it ran, or "
            "the data is drawn without a seed",
            hint="Undo the change and launch again to resume.",
        )


class Worker:
    """A worker of a `WorkerPool`. It has one process, which is replaced when it dies.

    `start` starts the process, by default on this machine.

    Attributes:
        process: The present process.
        loaded: The answer of the last process that has loaded the study; None if there is none yet.
        loading: Whether the process has not loaded the study yet.
        waiting: A submitted job that the process does not have yet, because the previous process
            died.
        load_study: The message that makes a new process load the same study. Once a process has
            loaded the study, it contains the source of the study's file and modules.
    """

    def __init__(
        self,
        load_study: LoadStudy,
        on_output: OnOutput = lambda line: None,
        start: Callable[[LoadStudy, OnOutput], ProcessLike] | None = None,
    ) -> None:
        self.load_study, self._on_output = load_study, on_output
        self.loaded: Loaded | None = None
        self.waiting: RunFits | None = None
        # The fits of the present job that have not ended.
        self._fits: deque[TrialSpec] = deque()
        self._start_process = start or WorkerProcess
        self._start()
        self._lost_while_loading = 0

    def _start(self) -> None:
        self.loading = True
        # The kinds of the trials that the process has trained, by `kind_of`. The process keeps
        # their compiled programs, so another trial of such a kind takes less time.
        self._trained: set[Hashable] = set()
        self.process = self._start_process(self.load_study, self._on_output)

    def _restart(self) -> None:
        self.process.end()
        self._start()

    def has_trained_like(self, spec: TrialSpec) -> bool:
        """Returns whether the process has trained a trial of the same kind, by `kind_of`."""
        return kind_of(spec) in self._trained

    def take_loaded(self) -> None:
        """Waits for the process's answer to `load_study`.

        Starts another process if this one was killed. If the study can't be loaded, raises the
        study's error, or StudyError if an earlier process had loaded it. Raises WorkerError if the
        process died without being killed, or if too many processes were killed.
        """
        try:
            answer = self.process.receive()
        except WorkerError as error:
            self._lost_while_loading += 1
            # If a process died while loading, without being killed, the next one would die too.
            if self._lost_while_loading >= _ATTEMPTS or not error.killed:
                raise
            self._restart()
            return
        self._lost_while_loading = 0
        if isinstance(answer, Failed):
            # While a study runs, callers expect StudyError, as from a request that fails.
            raise answer.error if self.loaded is None else answer.error.of_kind(StudyError)
        assert isinstance(answer, Loaded)
        self.loading = False
        if self.loaded is not None:
            check_same(self.loaded.description, answer.description)
        self.loaded = answer
        # A process that replaces this one must run the same source, even if a file changes.
        target = self.load_study.target
        if isinstance(target, Target):
            code = answer.description.code
            modules = {str(place_of(Path(code.path), p)): t for p, t in code.texts.items()}
            target = replace(target, source=code.source, modules=modules)
            self.load_study = replace(self.load_study, target=target)

    @property
    def free(self) -> int:
        return 0 if self.waiting or self._fits or self.loading else 1

    def submit(self, *fits: TrialTask) -> None:
        self.waiting = RunFits(fits)
        # If the process has died, `wait` starts another one, which gets the job.
        with contextlib.suppress(WorkerError):
            self._begin(self.waiting)

    def wait(self, handler: Handler, seconds: float | None = None) -> None:
        """Passes one event to the handler.

        If the process has died, starts a new process, but does not wait until the new process has
        loaded the study.
        """
        if self.loading:
            self.take_loaded()
            return
        try:
            if self.waiting is not None:
                self._begin(self.waiting)
                return
            message = self.process.receive()
            if isinstance(message, EpochResult):
                self.process.send(handler.on_epoch(message))
                return
        except WorkerError as error:
            lost = self._fits[0] if self._fits else None
            self._fits.clear()
            self._restart()
            if lost is not None:
                handler.on_lost(lost, error)
            return
        if isinstance(message, Failed):
            self._fits.clear()
            raise message.error.of_kind(StudyError)
        self._fits.popleft()
        if message.state != "complete":
            self._fits.clear()
        handler.on_result(message)

    def save_champion(
        self, spec: TrialSpec, checkpoint: Path, space: SearchSpace, folder: Path
    ) -> dict[str, float]:
        request = SaveChampion(spec, checkpoint, space, folder)
        metrics: dict[str, float] = self._answer(request)
        return metrics

    def ask(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Returns ``function(session, *arguments)``, called in the worker with its `Session`.

        If the process dies, another process calls the function. Raises StudyError if the function
        raises an error.
        """
        return self._answer(Ask(function, arguments))

    def _answer(self, request: Ask | SaveChampion) -> Any:
        """Sends a request; returns the answer's value. Raises StudyError if the request failed.

        If the process dies, a new process gets the request.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                while self.loading:
                    self.take_loaded()
                self.process.send(request)
                answer = self.process.receive()
                break
            except WorkerError:
                if attempt == _ATTEMPTS:
                    raise
                self._restart()
        if isinstance(answer, Failed):
            raise answer.error.of_kind(StudyError)
        assert isinstance(answer, Answer)
        return answer.value

    def close(self) -> None:
        self.process.end()

    def _begin(self, job: RunFits) -> None:
        self.process.send(job)
        self.waiting = None
        self._fits.extend(fit.spec for fit in job.fits)
        self._trained.add(kind_of(self._fits[0]))


def kind_of(spec: TrialSpec) -> Hashable:
    """Returns a key that is equal for trials which can probably use the same compiled program.

    Values that usually don't change the program are not in the key: floats (e.g. a learning rate),
    epochs and initializers.
    """
    return spec.batch_size, frozenset(
        (name, value)
        for name, value in spec.values.items()
        if name != "epochs" and not isinstance(value, float) and value not in INITIALIZERS
    )


_SECONDS_TO_END = 5.0
_LINES_KEPT = 20
# In this file, Linux counts the processes that it has killed for lack of memory.
COUNTS = Path("/proc/vmstat")
# Lines that the user does not see. TensorFlow's C++ code prints them before its log level applies.
_NOISE = re.compile(
    r"[IW]\d{4} \d\d:\d\d:\d\d\.|[IW]0000 \d|WARNING: All log messages before absl"
    # TensorFlow 2.18 and 2.19 print this error even on a machine without a GPU.
    r"|E0000 .*Unable to register cu(DNN|BLAS|FFT) factory"
)
# The first line of a warning by Python, such as "study.py:3: UserWarning: few samples".
_WARNING = re.compile(r"\S.*:\d+: \w*Warning: ")


class ProcessLike(Protocol):
    """A worker's process, on this machine or another one."""

    def send(self, message: object) -> None:
        """Sends a message. Raises WorkerError if the process has ended."""
        ...

    def receive(self) -> Any:
        """Waits for a message. Raises WorkerError if the process has ended."""
        ...

    def end(self) -> None:
        """Ends the process."""
        ...


class WorkerProcess:
    """A worker process on this machine, connected by a pair of sockets."""

    def __init__(
        self,
        load: LoadStudy,
        on_output: OnOutput,
        folder: str | None = None,
        variables: Mapping[str, str] | None = None,
        keeps: bool = False,
        warned: set[str] | None = None,
    ) -> None:
        """Starts the process.

        With `keeps`, it never removes the launch's folder. Python's warnings that are in `warned`
        are not shown again; others are added.
        """
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            # The user's code may have called `socket.setdefaulttimeout`, and then messages would
            # time out.
            end.setblocking(True)
        self.connection = Connection(ours.dup().detach())
        self._process = subprocess.Popen(
            # -P keeps the script's folder off the import path.
            [sys.executable, "-P", worker_main.__file__],
            cwd=folder,
            env={**os.environ, **(variables or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            pass_fds=() if sys.platform == "win32" else (theirs.fileno(),),
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._killed_before = _killed_for_memory()
        self._last_lines: deque[str] = deque(maxlen=_LINES_KEPT)
        self._warned = set() if warned is None else warned
        self._reader = threading.Thread(target=self._read_output, args=(on_output,), daemon=True)
        self._reader.start()
        sockets = (ours, theirs)
        threading.Thread(target=self._hang_up_at_its_end, args=sockets, daemon=True).start()
        # If the process has died already, writing fails, and the first `receive` reports that.
        with contextlib.suppress(OSError):
            if sys.platform == "win32":
                handle = theirs.share(self._process.pid).hex()
            else:
                handle = str(theirs.fileno())
            shared = worker_main.KEPT if keeps else os.fsencode(load.shared).hex()
            self._process.stdin.write(f"{handle}\t{load.threads}\t{shared}\n")
            self._process.stdin.flush()
            self.connection.send(load)

    def send(self, message: object) -> None:
        try:
            self.connection.send(message)
        except (EOFError, OSError):
            raise self._ended() from None

    def receive(self) -> Any:
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            # An OSError means that the process ended in the middle of a message.
            raise self._ended() from None

    def end(self) -> None:
        """Ends the process: closes the connection, sends SIGTERM, and at last SIGKILL."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(OSError, ValueError):
            # Without this line, the worker would take the driver for dead, and remove shared data.
            self._process.stdin.write(worker_main.ENDED)
            self._process.stdin.flush()
        self.connection.close()
        self._process.terminate()
        try:
            self._process.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(_SECONDS_TO_END)
        # If the process died before it read everything, the rest can't be flushed.
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        # A process that the user's code has started may still have the pipe open. The reader then
        # still reads, and closing the pipe would wait for that process.
        if not self._reader.is_alive():
            self._process.stdout.close()

    def _hang_up_at_its_end(self, ours: socket.socket, theirs: socket.socket) -> None:
        """Makes `recv` raise EOFError after the last message of the process, and `send` an OSError.

        The user's code may have forked other processes from the worker. They have the connection
        open, too, so without this method `recv` would wait for them.
        """
        with ours, theirs:
            self._process.wait()
            # On Windows, `shutdown` would lose unread messages. It isn't needed there, because
            # Windows has no forked processes.
            if sys.platform != "win32":
                ours.shutdown(socket.SHUT_RDWR)

    def _ended(self) -> WorkerError:
        try:
            code = self._process.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            return WorkerError("the worker process does not answer")
        self._reader.join(_SECONDS_TO_END)
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        last = f"; its last line was: {self._last_lines[-1]}" if self._last_lines else ""
        killed = code == -signal.SIGKILL
        # A C++ program that gets no memory prints this name and aborts.
        refused = any("std::bad_alloc" in line for line in self._last_lines)
        lacked = refused or (killed and _killed_for_memory() > self._killed_before)
        why = "; probably out of memory" if lacked else last
        return WorkerError(
            f"the worker process ended {how}{why}", killed=killed, out_of_memory=lacked
        )

    def _read_output(self, on_output: OnOutput) -> None:
        assert self._process.stdout is not None
        repeated = False
        for line in self._process.stdout:
            if line.strip() and not _NOISE.match(line):
                self._last_lines.append(line.rstrip())
                # A warning is followed by the line of code that gave it, which is indented.
                after_repeated, repeated = repeated, line in self._warned
                if repeated or (after_repeated and line.startswith("  ")):
                    continue
                if _WARNING.match(line):
                    self._warned.add(line)
                # Reading must go on after an error: if the pipe were full, the worker would hang.
                with contextlib.suppress(Exception):
                    on_output(line.rstrip())


def _killed_for_memory() -> int:
    """Returns how many processes the system has killed for lack of memory.

    Returns 0 if the system does not count them.
    """
    with contextlib.suppress(OSError):
        if line := re.search(r"^oom_kill (\d+)$", COUNTS.read_text(), re.MULTILINE):
            return int(line[1])
    return 0
