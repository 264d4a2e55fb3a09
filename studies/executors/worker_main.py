"""A worker process: loads the study once, then runs the trials that it gets.

The driver starts this file by its path (``python -P worker_main.py``), not as a module or by
forking. So neither this folder nor the driver's state affects the study's code. The process opens
no database. A thread waits for the driver's end, and then ends this process. If C code holds the
GIL at that time, the process ends later.
"""

from __future__ import annotations

import gc
import importlib.util
import os
import shutil
import signal
import socket
import sys
import threading
import traceback
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from studies.executors.loaded_study import Session
    from studies.executors.worker_process import LoadStudy, RunFits
    from tracking.records import Decision, EpochResult


# The driver writes this line when it ends a worker. If a worker's input ends without this line, the
# driver has died.
ENDED = "ended\n"
# The driver writes this instead of the path of a folder that the worker must not remove.
KEPT = "kept"
_STDIN = 0
# Removing a folder fails while other workers write into it, so it is tried this many times.
_REMOVALS = 20


def main() -> None:
    """Connects to the driver, loads the study, and answers the driver's messages."""
    # Ctrl-C reaches every process of the terminal. Workers ignore it, because the driver decides
    # what happens.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGHUP"):
        # Closing the terminal sends this signal to all of its processes, too.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    handle, threads, folder = _read_line().split("\t")
    shared = Path(os.fsdecode(bytes.fromhex(folder))).absolute() if folder != KEPT else None
    watcher = threading.Thread(target=_end_with_driver, args=(shared,), daemon=True)
    watcher.start()
    # By default Python looks for garbage so often that TensorFlow's import takes a third longer,
    # and tracing a model takes 4 % longer.
    gc.set_threshold(50_000)
    _import_kerastudy()
    with _connection(handle) as connection:
        from studies.library_internals import load_late
        from studies.training import prepare_environment

        load_late()
        prepare_environment(int(threads))
        try:
            serve(connection, connection.recv())
        except (EOFError, ConnectionError):
            # The driver is gone, so nothing is left to do.
            watcher.join()


def _end_with_driver(shared: Path | None) -> None:
    """Ends this process when its driver ends, even during an epoch.

    If the driver has died, this function also removes the launch's shared folder. On a Ray cluster,
    `shared` is None, because the parent of this process may die while the driver lives.
    """
    if _read_line() != ENDED.strip() and shared is not None:
        _remove(shared)
    os._exit(0)


def _remove(shared: Path) -> None:
    """Removes the folder of a launch, into which workers may still write."""
    for _ in range(_REMOVALS):
        shutil.rmtree(shared, ignore_errors=True)
        if not shared.exists():
            return


def _read_line() -> str:
    """Returns a line from the driver, or an empty text if the driver is gone.

    `sys.stdin` is not used, because the waiting thread would hold the lock of `sys.stdin`.
    """
    line = b""
    while not line.endswith(b"\n") and (byte := os.read(_STDIN, 1)):
        line += byte
    return line.decode().strip()


def _connection(handle: str) -> Connection:
    """Returns the connection to the driver. `handle` identifies a socket that the driver opened."""
    if sys.platform == "win32":
        return Connection(socket.fromshare(bytes.fromhex(handle)).detach())
    # Without this, processes that the user's code starts would inherit the socket, and would keep
    # it open after this process has ended.
    os.set_inheritable(int(handle), False)
    return Connection(int(handle))


def _import_kerastudy() -> None:
    """Imports the kerastudy of this file, even if the import path has another kerastudy."""
    path = Path(__file__).resolve().parents[2] / "kerastudy.py"
    spec = importlib.util.spec_from_file_location("kerastudy", path)
    assert spec is not None and spec.loader is not None
    sys.modules["kerastudy"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)


def serve(connection: Connection, load: LoadStudy) -> None:
    """Loads the study, then answers the driver until it closes the connection."""
    from search_spaces.errors import KerastudyError, StudyError
    from studies.error_texts import describe
    from studies.executors.worker_process import Answer, Ask, Failed, RunFits

    try:
        session = _load(load, connection)
    except KerastudyError as error:
        connection.send(Failed(error))
        session = None
    while True:
        message = connection.recv()
        assert session is not None, "a study is loaded before trials are run"
        try:
            if isinstance(message, RunFits):
                _run(session, message, connection)
            elif isinstance(message, Ask):
                connection.send(Answer(session.answer(message.function, *message.arguments)))
            else:
                metrics = session.save_champion(
                    message.spec, message.checkpoint, message.space, message.folder
                )
                connection.send(Answer(metrics))
        except KerastudyError as error:
            connection.send(Failed(error))
        except (EOFError, ConnectionError):
            # The driver is gone.
            raise
        except Exception as error:
            # The driver gets this error as an answer. If the process ended instead, another process
            # would replace it, and fail too.
            traceback.print_exc()
            connection.send(Failed(StudyError(f"A worker process raised {describe(error)}.")))


def _load(message: LoadStudy, connection: Connection) -> Session:
    from studies.executors.loaded_study import Session
    from studies.executors.worker_process import Loaded
    from studies.library_internals import write_generated_code_into
    from studies.user_code import Target, load_study, unpack

    # TensorFlow is imported before the user's file. If the import of TensorFlow fails, the error
    # must not blame that file.
    tensorflow = importlib.import_module("tensorflow")
    from studies.training import begin_trial, change_threads, configure_tensorflow

    configure_tensorflow(message.threads)
    # AutoGraph writes its generated files into the shared folder, so they are removed together with
    # that folder.
    write_generated_code_into(message.shared)
    # Random operations at the top level of a study file need a seed too.
    begin_trial(0)
    if isinstance(message.target, Target):
        study, code = load_study(message.target)
    else:
        study, code = unpack(message.target), message.target.code
    data = {"data": message.data} if message.data else {}
    study = study.with_overrides({**message.overrides, **data})
    threads = study.threads or message.threads
    change_threads(message.threads, threads)
    session = Session.open(study, code, threads, message.data, message.shared)
    # From now on, garbage collections skip TensorFlow's half a million objects. So a trial of a
    # small model takes 6 % less time.
    gc.freeze()
    gpus = len(tensorflow.config.list_physical_devices("GPU"))
    connection.send(Loaded(session.description, session.environment, session.model_bytes, gpus))
    return session


def _run(session: Session, job: RunFits, connection: Connection) -> None:
    def on_epoch(epoch: EpochResult) -> Decision:
        connection.send(epoch)
        decision: Decision = connection.recv()
        return decision

    for result in session.results(job.fits, on_epoch):
        connection.send(result)


if __name__ == "__main__":
    main()
