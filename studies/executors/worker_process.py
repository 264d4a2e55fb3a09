"""The process of a worker, and the connection to it."""

from __future__ import annotations

import contextlib
import os
import pickle
import re
import secrets
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from typing import Any, Protocol

from search_spaces.errors import WorkerError
from studies.executors import worker_main
from studies.executors.messages import LoadStudy

_SECONDS_TO_CONNECT = 120.0
_SECONDS_TO_END = 5.0
_LINES_KEPT = 20
# Linux counts in it the processes that it has killed for lack of memory.
COUNTS = Path("/proc/vmstat")
# TensorFlow's C++ side prints these before its log level applies.
_NOISE = re.compile(
    r"[IW]\d{4} \d\d:\d\d:\d\d\.|[IW]0000 \d|WARNING: All log messages before absl"
    # TensorFlow 2.18 and 2.19 print this without a GPU too.
    r"|E0000 .*Unable to register cu(DNN|BLAS|FFT) factory"
)

OnOutput = Callable[[str], None]


class ProcessLike(Protocol):
    """A worker's process, here or on another machine, as an executor needs it."""

    def send(self, message: object) -> None:
        """Sends a message. Raises WorkerError if the process has ended."""
        ...

    def receive(self) -> Any:
        """Waits for a message. Raises WorkerError if the process has ended."""
        ...

    def kill(self) -> None:
        """Ends the process at once; further requests fail."""
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
        # The folder has a path too long for a socket's.
        return Listener(("127.0.0.1", 0), authkey=key)


class WorkerProcess:
    """A worker process of this machine; it connects in the background."""

    def __init__(
        self, load: LoadStudy, folder: str | None, variables: Mapping[str, str], on_output: OnOutput
    ) -> None:
        key = secrets.token_bytes(32)
        self._listener = _listen(key, load.shared)
        self._process = subprocess.Popen(
            # -P: the folder it is started in stays off its path.
            [sys.executable, "-P", worker_main.__file__],
            cwd=folder,
            env={**os.environ, **variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        # A pipe is private; everybody can read the arguments of a process.
        address = self._listener.address
        text = address if isinstance(address, str) else ":".join(map(str, address))
        # A process that died at once can't be written to; waiting for its connection reports that.
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
        # A thread waits: the process works once it is connected, and this one has its own work.
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def send(self, message: object) -> None:
        try:
            self.connection.send(message)
        except (EOFError, OSError):
            raise self._ended() from None

    def kill(self) -> None:
        """Ends the process at once, stopped or not; further requests fail."""
        self._process.kill()

    def receive(self) -> Any:
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            # OSError means that it ended during a message.
            raise self._ended() from None

    def end(self) -> None:
        """Ends the process by closing the connection, or by a signal if it does not react."""
        with contextlib.suppress(OSError, ValueError):
            # It then knows that this process still exists.
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
        # What a process that has died did not read can't be flushed.
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        # A process that the user's code started may hold the other end and still print: closing
        # this one would wait for it.
        if not self._reader.is_alive():
            self._process.stdout.close()

    @property
    def connection(self) -> Connection:
        """The connection; waits for the process to make it. Raises EOFError if it does not."""
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
        """Waits for the process to connect, or to die."""
        threading.Thread(target=self._follow_to_its_end, daemon=True).start()
        # accept() has no limit of its own.
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
            # Then accept() ends with an error.
            with contextlib.suppress(OSError, EOFError, AuthenticationError):
                Client(address).close()
        self._accepting.join()
        self._hang_up()

    def _hang_up(self) -> None:
        """Closes the connection on this side, after reading everything.

        A process that the user's code forked holds the other end, and would keep it open.
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
                # A worker whose pipe is not emptied waits for ever.
                with contextlib.suppress(Exception):
                    on_output(line.rstrip())


def _killed_for_memory() -> int:
    """Returns how many processes the system has killed for lack of memory; 0 if it counts none."""
    with contextlib.suppress(OSError):
        if line := re.search(r"^oom_kill (\d+)$", COUNTS.read_text(), re.MULTILINE):
            return int(line[1])
    return 0
