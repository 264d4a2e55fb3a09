"""A worker, from the driver's side: trials in one process, and the process itself."""

from __future__ import annotations

import contextlib
import os
import pickle
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from typing import Any, Protocol, TypeVar

from search_spaces import INITIALIZERS, SearchSpace
from search_spaces.errors import StudyError, WorkerError
from studies.data import temporary_folder
from studies.executors import worker_main
from studies.executors.job_runner import Handler
from studies.executors.worker_messages import (
    Answer,
    Ask,
    ChampionSaved,
    Failed,
    Loaded,
    LoadedByWorkers,
    LoadStudy,
    RunFits,
    SaveChampion,
    ThreadsDiffer,
    check_same,
)
from studies.user_code import ShippedStudy, Target, place_of
from tracking.records import EpochResult, TrialSpec, TrialTask

_Answer = TypeVar("_Answer", Answer, ChampionSaved)
# After this many dead workers, the study or the request is taken to be the cause.
_ATTEMPTS = 3


class WorkerExecutor(LoadedByWorkers):
    """An `Executor` with one process, which is replaced when it dies.

    `threads` are TensorFlow's threads, by default the study's setting, or 1. `data` is the path of
    a file that replaces the study's data, or empty. Workers share loaded data in the folder
    `shared`. `start` makes the process, by default a `WorkerProcess`.
    """

    def __init__(
        self,
        target: Target | ShippedStudy,
        *,
        overrides: Mapping[str, Any] | None = None,
        data: str = "",
        threads: int | None = None,
        shared: Path | None = None,
        on_output: OnOutput | None = None,
        start: Callable[[LoadStudy, OnOutput], ProcessLike] | None = None,
    ) -> None:
        self._own = None
        if shared is None:
            self._own = temporary_folder()
            shared = Path(self._own.name)
        self._load_study = LoadStudy(target, dict(overrides or {}), data, threads or 1, shared)
        self._on_output = on_output or (lambda line: None)
        self._waiting: deque[RunFits] = deque()
        # These fits of the present job have not ended.
        self._fits: deque[TrialSpec] = deque()
        self._start_process = start or WorkerProcess
        self._process = self._start()
        self._lost_while_loading = 0

    def _start(self) -> ProcessLike:
        self._is_loading = True
        # The process has trained models of these kinds, and keeps their compiled programs.
        self._trained: set[Hashable] = set()
        return self._start_process(self._load_study, self._on_output)

    def _restart(self) -> None:
        self._process.end()
        self._process = self._start()

    @property
    def process(self) -> ProcessLike:
        return self._process

    @property
    def waits(self) -> bool:
        """Whether a job still waits, because the worker died before it took the job."""
        return bool(self._waiting)

    @property
    def loading(self) -> bool:
        return self._is_loading

    @property
    def trial(self) -> int | None:
        return self._fits[0].number if self._fits else None

    @property
    def target(self) -> Target | ShippedStudy:
        """The study, with the source that the worker has loaded."""
        return self._load_study.target

    def has_trained_like(self, spec: TrialSpec) -> bool:
        """Returns whether the process has trained a trial with the same `kind_of`."""
        return kind_of(spec) in self._trained

    def load(self) -> None:
        """Waits until the worker has loaded the study. Raises StudyError if it can't."""
        while not self.take_loaded():
            pass

    def take_loaded(self) -> bool:
        """Waits until the worker has loaded the study; returns False if it was restarted instead.

        Raises StudyError if the worker can't load the study.
        """
        try:
            answer = self._process.receive()
        except WorkerError as error:
            self._lost_while_loading += 1
            # A process that died while loading, without being killed, would die again.
            if self._lost_while_loading >= _ATTEMPTS or not error.killed:
                raise
            self._restart()
            return False
        self._lost_while_loading = 0
        if isinstance(answer, Failed):
            raise StudyError(answer.message)
        if isinstance(answer, ThreadsDiffer):
            # The study's file has used TensorFlow, so the threads of this process can't change.
            self._load_study = replace(self._load_study, threads=answer.threads)
            self._restart()
            return False
        if not isinstance(answer, Loaded):
            raise WorkerError(f"The worker answered {answer!r:.200}.")
        self._is_loading = False
        if self._loaded is not None:
            check_same(self._loaded.description, answer.description)
        self._loaded = answer
        # A process that replaces this one must run the same source, even if the file changes.
        target = self._load_study.target
        if isinstance(target, Target):
            code = answer.description.code
            modules = {str(place_of(Path(code.path), p)): t for p, t in code.texts.items()}
            target = replace(target, source=code.source, modules=modules)
            self._load_study = replace(self._load_study, target=target)
        return True

    @property
    def free(self) -> int:
        return 0 if self._waiting or self._fits or self._is_loading else 1

    def submit(self, *fits: TrialTask) -> None:
        self._waiting.append(RunFits(fits))
        if not self._fits:
            # If the worker has died, `wait` replaces it.
            with contextlib.suppress(WorkerError):
                self._start_next()

    def wait(self, handler: Handler, seconds: float | None = None) -> None:
        """Passes an event on. Replaces a dead process, without waiting until the new one loads."""
        if self._is_loading:
            self.take_loaded()
            return
        try:
            if not self._fits:
                self._start_next()
                return
            message = self._process.receive()
            if isinstance(message, EpochResult):
                self._process.send(handler.on_epoch(message))
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
            raise StudyError(message.message)
        self._fits.popleft()
        if message.state != "complete":
            self._fits.clear()
        handler.on_result(message)

    @property
    def delayed(self) -> Sequence[TrialSpec]:
        return () if self._fits else [job.fits[0].spec for job in self._waiting]

    def save_champion(
        self, spec: TrialSpec, checkpoint: Path, space: SearchSpace, folder: Path
    ) -> dict[str, float]:
        def remove() -> None:
            shutil.rmtree(folder, ignore_errors=True)

        request = SaveChampion(spec, checkpoint, space, folder)
        return dict(self._answer(request, ChampionSaved, remove).metrics)

    def ask(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Calls a function with the worker's `Session` and the arguments; returns its result.

        If the worker dies, the function is called again in another process. Raises StudyError if
        the function raises.
        """
        return self._answer(Ask(function, arguments), Answer).value

    def _answer(
        self,
        request: Ask | SaveChampion,
        kind: type[_Answer],
        undo: Callable[[], None] = lambda: None,
    ) -> _Answer:
        """Sends a request; returns the answer.

        If the worker dies, `undo` removes the files that it left, and a new worker gets the
        request. Raises StudyError if the request failed.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                if self._is_loading:
                    self.load()
                self._process.send(request)
                answer = self._process.receive()
                break
            except WorkerError:
                if attempt == _ATTEMPTS:
                    raise
                self._restart()
                undo()
        if not isinstance(answer, kind):
            raise StudyError(getattr(answer, "message", repr(answer)))
        return answer

    def close(self) -> None:
        self._process.end()
        if self._own is not None:
            self._own.cleanup()

    def _start_next(self) -> None:
        self._process.send(self._waiting[0])
        self._fits.extend(fit.spec for fit in self._waiting.popleft().fits)
        self._trained.add(kind_of(self._fits[0]))


def kind_of(spec: TrialSpec) -> Hashable:
    """Returns a key. Trials with the same key can probably use the same compiled program.

    Floats (e.g. a learning rate), epochs and initializers usually don't change the program.
    """
    return spec.batch_size, frozenset(
        (name, value)
        for name, value in spec.values.items()
        if name != "epochs" and not isinstance(value, float) and value not in INITIALIZERS
    )


_SECONDS_TO_CONNECT = 120.0
_SECONDS_TO_END = 5.0
_LINES_KEPT = 20
# In this file, Linux counts the processes that it has killed for lack of memory.
COUNTS = Path("/proc/vmstat")
# TensorFlow's C++ code prints these lines before its log level applies.
_NOISE = re.compile(
    r"[IW]\d{4} \d\d:\d\d:\d\d\.|[IW]0000 \d|WARNING: All log messages before absl"
    # TensorFlow 2.18 and 2.19 print this without a GPU too.
    r"|E0000 .*Unable to register cu(DNN|BLAS|FFT) factory"
)

OnOutput = Callable[[str], None]


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


def _listen(key: bytes, folder: Path) -> Listener:
    if not hasattr(socket, "AF_UNIX"):
        return Listener(authkey=key)
    try:
        return Listener(str(folder / f"socket-{secrets.token_hex(4)}"), "AF_UNIX", authkey=key)
    except OSError:
        # The folder's path is too long for a socket.
        return Listener(("127.0.0.1", 0), authkey=key)


class WorkerProcess:
    """A worker process on this machine. A thread waits until the process connects."""

    def __init__(
        self,
        load: LoadStudy,
        on_output: OnOutput,
        folder: str | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        key = secrets.token_bytes(32)
        self._listener = _listen(key, load.shared)
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
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        # The key goes through a pipe, as everybody can read the arguments of a process.
        address = self._listener.address
        text = address if isinstance(address, str) else ":".join(map(str, address))
        # If the process has died already, writing fails, and the first `receive` reports that.
        with contextlib.suppress(OSError):
            folder_of_data, study = os.fsencode(load.shared).hex(), pickle.dumps(load).hex()
            words = (text, key.hex(), str(load.threads), folder_of_data, study)
            self._process.stdin.write("\t".join(words) + "\n")
            self._process.stdin.flush()
        self._killed_before = _killed_for_memory()
        self._last_lines: deque[str] = deque(maxlen=_LINES_KEPT)
        self._reader = threading.Thread(target=self._read_output, args=(on_output,), daemon=True)
        self._reader.start()
        self._connection: Connection | None = None
        self._closing = threading.Lock()
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def send(self, message: object) -> None:
        try:
            self.connection.send(message)
        except (EOFError, OSError):
            raise self._ended() from None

    def receive(self) -> Any:
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            # OSError means that the process ended during a message.
            raise self._ended() from None

    def end(self) -> None:
        """Ends the process: closes the connection, sends SIGTERM, and at last SIGKILL."""
        with contextlib.suppress(OSError, ValueError):
            # Without this line, the worker would take the driver for dead, and remove shared data.
            assert self._process.stdin is not None
            self._process.stdin.write(worker_main.ENDED)
            self._process.stdin.flush()
        with self._closing:
            if self._connection is not None:
                self._connection.close()
        self._process.terminate()
        try:
            self._process.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._accepting.join(_SECONDS_TO_END)
        self._listener.close()
        self._reader.join(_SECONDS_TO_END)
        assert self._process.stdin is not None and self._process.stdout is not None
        # If the process died before it read everything, the rest can't be flushed.
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        # A process that the user's code started may still hold the pipe. Closing would wait for it.
        if not self._reader.is_alive():
            self._process.stdout.close()

    @property
    def connection(self) -> Connection:
        """The connection, once the process has connected. Raises EOFError if it never connects."""
        self._accepting.join()
        if self._connection is None:
            raise EOFError
        return self._connection

    @property
    def connects(self) -> bool:
        return self._accepting.is_alive()

    @property
    def connected(self) -> bool:
        return self._connection is not None

    def _accept(self) -> None:
        threading.Thread(target=self._follow_to_its_end, daemon=True).start()
        # accept() has no time limit.
        waiting = threading.Timer(_SECONDS_TO_CONNECT, self._process.kill)
        waiting.daemon = True
        waiting.start()
        with contextlib.suppress(OSError, EOFError, AuthenticationError):
            self._connection = self._listener.accept()
        waiting.cancel()

    def _follow_to_its_end(self) -> None:
        """Wakes waiting threads when the process has ended."""
        from multiprocessing.connection import Client

        address = self._listener.address
        self._process.wait()
        if self._accepting.is_alive():
            # This connection makes accept() end with an error.
            with contextlib.suppress(OSError, EOFError, AuthenticationError):
                Client(address).close()
        self._accepting.join()
        self._hang_up()

    def _hang_up(self) -> None:
        """Makes `recv` raise EOFError after the last message.

        `recv` would wait if a process that the user's code forked still holds the connection.
        """
        if os.name != "posix":
            return
        with self._closing, contextlib.suppress(OSError):
            if self._connection is not None:
                with socket.socket(fileno=os.dup(self._connection.fileno())) as ours:
                    ours.shutdown(socket.SHUT_RD)

    def _ended(self) -> WorkerError:
        try:
            code = self._process.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            return WorkerError("the worker process does not answer")
        self._reader.join(_SECONDS_TO_END)
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        last = f"; its last line was: {self._last_lines[-1]}" if self._last_lines else ""
        killed = code == -signal.SIGKILL
        # C++ aborts when it gets no memory.
        refused = any("std::bad_alloc" in line for line in self._last_lines)
        lacked = refused or (killed and _killed_for_memory() > self._killed_before)
        why = "; probably out of memory" if lacked else last
        return WorkerError(
            f"the worker process ended {how}{why}", killed=killed, out_of_memory=lacked
        )

    def _read_output(self, on_output: OnOutput) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.strip() and not _NOISE.match(line):
                self._last_lines.append(line.rstrip())
                # Reading must go on after an error: if the pipe were full, the worker would hang.
                with contextlib.suppress(Exception):
                    on_output(line.rstrip())


def _killed_for_memory() -> int:
    """Returns how many processes the system has killed for lack of memory; 0 if it counts none."""
    with contextlib.suppress(OSError):
        if line := re.search(r"^oom_kill (\d+)$", COUNTS.read_text(), re.MULTILINE):
            return int(line[1])
    return 0
