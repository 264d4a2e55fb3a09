"""Trials in one worker process, from the driver's side."""

from __future__ import annotations

import contextlib
import re
import secrets
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from typing import Any

from search_spaces import SearchSpace
from studies.errors import StudyError, WorkerError
from studies.executors import worker_main
from studies.executors.executor import Handler
from studies.executors.messages import (
    ChampionSaved,
    Failed,
    Loaded,
    LoadStudy,
    SaveChampion,
    ThreadsDiffer,
)
from studies.loading import Target
from tracking.records import EpochResult, StudyDescription, TrialSpec, TrialTask

_SECONDS_TO_CONNECT = 60.0
_SECONDS_TO_END = 5.0
_LINES_KEPT = 20
# What TensorFlow's C++ side tells of itself before its log level counts.
_NOISE = re.compile(r"[IW]\d{4} \d\d:\d\d:\d\d\.|[IW]0000 \d|WARNING: All log messages before absl")

OnOutput = Callable[[str], None]


class WorkerExecutor:
    """Runs trials in a process of its own, which is replaced when it ends by itself.

    Args:
        target: The study to load there.
        overrides: Settings to replace.
        data: An npz file to use in place of the study's own data, or empty.
        threads: TensorFlow's threads per trial; None: as the study says, or 1.
        folder: The folder that the process runs in; empty, or gone: this one's.
        shared: A folder in which it shares the study's data with other workers.
        on_output: Takes each line that the worker prints.

    Raises:
        StudyError: By `load`, if the study cannot be run as defined.
    """

    def __init__(
        self,
        target: Target,
        *,
        overrides: Mapping[str, Any] | None = None,
        data: str = "",
        threads: int | None = None,
        folder: str = "",
        shared: Path | None = None,
        on_output: OnOutput | None = None,
    ) -> None:
        self._load_study = LoadStudy(target, dict(overrides or {}), data, threads or 1, shared)
        self._on_output = on_output or (lambda line: None)
        self._waiting: deque[TrialTask] = deque()
        self._running: TrialSpec | None = None
        self._loaded: Loaded | None = None
        self._folder = folder if folder and Path(folder).is_dir() else None
        self._process = self._start()
        self._asked_to_load = False

    def _start(self) -> _WorkerProcess:
        self._asked_to_load = False
        return _WorkerProcess(self._load_study, self._folder, self._on_output)

    @property
    def connection(self) -> Connection:
        """The connection to the worker, for waiting until it has something to say."""
        return self._process.connection

    @property
    def waits(self) -> bool:
        """Whether a trial waits that could not be given to the worker: it has died."""
        return bool(self._waiting)

    def ask_to_load(self) -> None:
        """Has the worker load the study, without waiting for it."""
        if not self._asked_to_load:
            self._process.send(self._load_study)
            self._asked_to_load = True

    def load(self) -> None:
        """Waits until the worker has loaded the study.

        Raises:
            StudyError: If it cannot.
        """
        answer = self._ask_to_load()
        if isinstance(answer, ThreadsDiffer):
            # Known only once the file was read, and TensorFlow's threads can't change any more.
            self._process.end()
            self._load_study = replace(self._load_study, threads=answer.threads)
            self._process = self._start()
            answer = self._ask_to_load()
        if not isinstance(answer, Loaded):
            raise WorkerError(f"The worker answered {answer!r:.200}.")
        if self._loaded is not None:
            _check_same(self._loaded.description, answer.description)
        self._loaded = answer
        # A worker that takes this one's place must run the same text, if the file changes.
        target = replace(self._load_study.target, source=answer.description.code.source)
        self._load_study = replace(self._load_study, target=target)

    @property
    def description(self) -> StudyDescription:
        """See `Executor`."""
        return self._ready().description

    @property
    def environment(self) -> Mapping[str, str]:
        """See `Executor`."""
        return self._ready().environment

    @property
    def free(self) -> int:
        """See `Executor`."""
        return 0 if self._waiting or self._running else 1

    def submit(self, task: TrialTask) -> None:
        """See `Executor`. A worker that is free begins at once."""
        self._waiting.append(task)
        if self._running is None:
            # One that has died meanwhile is replaced in `wait`, where that can be told.
            with contextlib.suppress(WorkerError):
                self._start_next()

    def wait(self, handler: Handler) -> None:
        """See `Executor`."""
        try:
            if self._running is None:
                self._start_next()
            message = self._process.receive()
            if isinstance(message, EpochResult):
                self._process.send(handler.on_epoch(message))
                return
        except WorkerError as error:
            lost, self._running = self._running, None
            self._process.end()
            self._process = self._start()
            self.load()
            if lost is not None:
                handler.on_lost(lost, str(error))
            return
        self._running = None
        if isinstance(message, Failed):
            raise StudyError(message.message)
        handler.on_result(message)

    def save_champion(
        self, spec: TrialSpec, checkpoint: Path, space: SearchSpace, folder: Path
    ) -> dict[str, float]:
        """See `Executor`."""
        self._process.send(SaveChampion(spec, checkpoint, space, folder))
        answer = self._process.receive()
        if not isinstance(answer, ChampionSaved):
            raise StudyError(getattr(answer, "message", repr(answer)))
        return dict(answer.metrics)

    def close(self) -> None:
        """See `Executor`."""
        self._process.end()

    def _start_next(self) -> None:
        self._process.send(self._waiting[0])
        self._running = self._waiting.popleft().spec

    def _ask_to_load(self) -> object:
        self.ask_to_load()
        answer = self._process.receive()
        if isinstance(answer, Failed):
            raise StudyError(answer.message)
        return answer

    def _ready(self) -> Loaded:
        assert self._loaded is not None, "call load() first"
        return self._loaded


def _check_same(before: StudyDescription, now: StudyDescription) -> None:
    if before.data.digest != now.data.digest or before.space != now.space:
        raise StudyError(
            f"What the study {before.name!r} loads has changed while it ran (its data, or what its "
            "file imports). Undo the change and launch again to go on."
        )


class _WorkerProcess:
    """The process and the connection to it. It connects while its parent does other things."""

    def __init__(self, load: LoadStudy, folder: str | None, on_output: OnOutput) -> None:
        key = secrets.token_bytes(32)
        self._listener = Listener(authkey=key)
        self._process = subprocess.Popen(
            # -P: the folder it is started in stays off its path.
            [sys.executable, "-P", worker_main.__file__],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        # On a pipe: the arguments of a process are there for everybody to read.
        self._process.stdin.write(f"{self._listener.address}\t{key.hex()}\t{load.threads}\n")
        self._process.stdin.flush()
        self._last_lines: deque[str] = deque(maxlen=_LINES_KEPT)
        self._reader = threading.Thread(target=self._read_output, args=(on_output,), daemon=True)
        self._reader.start()
        self._connection: Connection | None = None

    def send(self, message: object) -> None:
        try:
            self.connection.send(message)
        except (EOFError, ConnectionError, BrokenPipeError):
            raise self._ended() from None

    def receive(self) -> Any:
        try:
            return self.connection.recv()
        except (EOFError, ConnectionError, BrokenPipeError):
            raise self._ended() from None

    def end(self) -> None:
        """Ends the process: a closed connection tells it to, a signal if it does not listen."""
        if self._connection is not None:
            self._connection.close()
        self._listener.close()
        self._process.terminate()
        try:
            self._process.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(_SECONDS_TO_END)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    @property
    def connection(self) -> Connection:
        if self._connection is None:
            # accept() has no limit of its own, and would wait for a process that has died.
            waiting = threading.Timer(_SECONDS_TO_CONNECT, self._process.kill)
            watcher = threading.Thread(target=self._wake_if_dead, daemon=True)
            waiting.start()
            watcher.start()
            try:
                self._connection = self._listener.accept()
            finally:
                waiting.cancel()
        return self._connection

    def _wake_if_dead(self) -> None:
        """Connects to our own listener and hangs up, so that accept() ends with an error."""
        from multiprocessing.connection import Client

        self._process.wait()
        if self._connection is None:
            try:
                Client(self._listener.address).close()
            except OSError:
                return

    def _ended(self) -> WorkerError:
        try:
            code = self._process.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            return WorkerError("the worker process does not answer")
        self._reader.join(_SECONDS_TO_END)
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        last = f"; its last line was: {self._last_lines[-1]}" if self._last_lines else ""
        return WorkerError(f"the worker process ended {how}{last}")

    def _read_output(self, on_output: OnOutput) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.strip() and not _NOISE.match(line):
                self._last_lines.append(line.rstrip())
                on_output(line.rstrip())
