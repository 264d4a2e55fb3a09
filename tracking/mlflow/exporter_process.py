"""The exporter's process, which keeps MLflow up to date during a launch.

The launch starts this process instead of importing MLflow itself, since the import takes 2 s of
CPU. The process looks for changes once a second. If MLflow fails, the study goes on, and the next
launch, `kerastudy ui` or `kerastudy push` sends the rest.
"""

from __future__ import annotations

import contextlib
import gc
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from filelock import Timeout

from search_spaces.errors import KerastudyError, ServerAwayError, StoreError, TrackingError
from search_spaces.texts import listed
from tracking.history import StudySize, read_folder
from tracking.journal import FILE_NAME, JournalReader
from tracking.mlflow.exporter_notes_and_lock import locked_notes, read_notes
from tracking.mlflow.views_and_descriptions import REPORT
from tracking.shell_commands import study_command
from tracking.store import Store

if TYPE_CHECKING:
    from tracking.mlflow.study_and_trial_exporter import StudyExporter

VARIABLE: Final = "KERASTUDY_MLFLOW"
"""If this environment variable is "off", nothing is sent to MLflow."""

_SECONDS_BETWEEN: Final = 1.0
_SECONDS_AWAY: Final = 5.0
_SECONDS_TO_WAIT: Final = 10.0
_SECONDS_AFTER_AN_ERROR: Final = 2.0
# When the study has ended and needs a report, the launch writes this line to the process's stdin.
_REPORT_WANTED: Final = "report\n"
# This program imports the kerastudy to which this file belongs, even if sys.path has another one.
_PROGRAM: Final = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); import kerastudy; del sys.path[0]; "
    "from tracking.mlflow.exporter_process import main; main(sys.argv[1:])"
)


def is_on() -> bool:
    """Returns whether studies are sent to MLflow, which ``KERASTUDY_MLFLOW=off`` prevents."""
    return os.environ.get(VARIABLE, "") != "off"


class Exporter:
    """Starts and ends the exporter's process for a launch, and passes its messages to `say`."""

    def __init__(self, folder: Path, say: Callable[[str], None], *, report: bool) -> None:
        self._folder, self._say, self._report = folder, say, report
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    def __enter__(self) -> Exporter:
        """Starts the process, unless MLflow is off and no report is wanted."""
        if is_on() or self._report:
            report = ["--report"] * self._report
            self._process = _start(self._folder, ["--follow", *report], piped=True)
            self._reader = threading.Thread(target=self._pass_on, daemon=True)
            self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Tells the process to send the rest and to end. Waits at most 2 s for messages."""
        self._end("", _SECONDS_AFTER_AN_ERROR)

    def finish(self, wait: Callable[[str], None]) -> None:
        """Tells the process to send the rest and to draw the report. Waits at most 10 s.

        `wait(text)` shows the user the reason for waiting.
        """
        if self._process is not None:
            wait("bringing MLflow up to date")
        if not self._end(_REPORT_WANTED if self._report else "", _SECONDS_TO_WAIT):
            parts = listed(["MLflow"] * is_on() + ["the report"] * self._report)
            self._say(f"still being written, in the background: {parts}")

    def _end(self, message: str, seconds: float) -> bool:
        process, self._process = self._process, None
        if process is None:
            return True
        assert process.stdin is not None
        with contextlib.suppress(OSError):
            process.stdin.write(message)
            process.stdin.close()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        if self._reader is not None:
            # The process has ended, so the pipe has all of its messages.
            self._reader.join(seconds)
        return True

    def _pass_on(self) -> None:
        process = self._process
        if process is not None and process.stdout is not None:
            for line in process.stdout:
                self._say(line.rstrip("\n"))


def export_later(folder: Path) -> None:
    """Starts a process that updates MLflow. It also updates the report, if the study has one."""
    report = (folder / REPORT).is_file()
    if is_on() or report:
        _start(folder, ["--report"] if report else [], piped=False)


@contextlib.contextmanager
def forgetting(store: Store, size: StudySize) -> Iterator[None]:
    """Deletes a study from the store's MLflow. Within the context, no process sends it again."""
    try:
        with locked_notes(size.folder, _SECONDS_TO_WAIT):
            _forget(store, size)
            yield
    except Timeout:
        raise StoreError(
            f"The study {size.name!r} is being sent to MLflow", hint="Try again in a minute."
        ) from None


def _forget(store: Store, size: StudySize) -> None:
    """Deletes a study's experiment and registered model in the store's MLflow.

    A deleted experiment keeps its name in MLflow, so the experiment is renamed first.
    """
    experiment, _ = read_notes(size.folder)
    if not experiment or not (store.root / "mlflow.db").is_file():
        return
    from mlflow.exceptions import MlflowException

    from tracking.mlflow.model_registry import registered_models
    from tracking.mlflow.servers_and_databases import open_store_client

    client = open_store_client(store)
    header = JournalReader(size.folder).header()
    with contextlib.suppress(MlflowException):
        for model in registered_models(client, header.uuid):
            client.delete_registered_model(model.name)
    with contextlib.suppress(MlflowException):
        former = client.get_experiment(experiment)
        if former.lifecycle_stage == "deleted":
            # MLflow can't rename a deleted experiment.
            client.restore_experiment(experiment)
        client.rename_experiment(experiment, f"{former.name} (deleted {header.uuid[:8]})")
    with contextlib.suppress(MlflowException):
        client.delete_experiment(experiment)


def bring_up_to_date(
    store: Store, folder: Path, say: Callable[[str], None] = lambda line: None
) -> None:
    """Sends a study to the store's MLflow and to the study's MLflow server, in this process."""
    from tracking.mlflow.study_and_trial_exporter import StudyExporter

    for address in dict.fromkeys(["", JournalReader(folder).header().address]):
        try:
            StudyExporter(store, folder, address, say).update(whole=True)
        except TrackingError as error:
            say(f"warning: {error}")


def main(arguments: Sequence[str]) -> None:
    """Runs the exporter's process. `arguments` are a study's folder, ``--follow``, ``--report``."""
    # Ctrl-C must not end this process. It ends the launch, and the pipe is closed. Then this
    # process sends the rest.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # By default Python looks for garbage so often that MLflow's import takes a fifth longer.
    gc.set_threshold(50_000)
    folder, *options = arguments
    with contextlib.suppress(BrokenPipeError):
        _Follower(Path(folder), "--report" in options).run(follow="--follow" in options)
    # Python looks for garbage before it exits, which takes a second after an import of MLflow.
    gc.freeze()


class _Follower:
    """Sends a study's changes to its destinations until the launch ends."""

    def __init__(self, folder: Path, report: bool) -> None:
        self._folder, self._store = folder, Store(folder.parent)
        # `_report` is whether the launch may ask for a report at its end, `_wanted` whether it has
        # asked.
        self._report, self._wanted = report, False
        self._ended = threading.Event()
        # For each server that did not answer, the time of the next attempt, by address. For a
        # server that refused a request, the time is infinite.
        self._next: dict[str, float] = {}
        self._exporters: dict[str, StudyExporter] = {}

    def run(self, *, follow: bool) -> None:
        """Sends changes until the launch ends, and once afterwards. Then draws the report."""
        if follow:
            threading.Thread(target=self._wait_for_end, daemon=True).start()
            self._round()
            if self._report:
                # If the import fails, `_draw` fails too, and warns the user.
                with contextlib.suppress(Exception):
                    _import_report()
            while not self._ended.wait(_SECONDS_BETWEEN):
                self._round()
        self._round(whole=True)
        if (self._wanted or not follow) and self._report and self._draw():
            self._round()

    def _wait_for_end(self) -> None:
        # The pipe is closed when the launch ends, even if the launch is killed.
        for line in sys.stdin:
            self._wanted = self._wanted or line == _REPORT_WANTED
        self._ended.set()

    def _round(self, *, whole: bool = False) -> None:
        # The journal is missing if the study was deleted.
        if not is_on() or not (self._folder / FILE_NAME).is_file():
            return
        try:
            server = JournalReader(self._folder).header().address
        except KerastudyError as error:
            _say(f"warning: {error}")
            return
        for address in dict.fromkeys(["", server]):
            due = self._next.get(address, 0.0)
            if due < math.inf and (whole or time.monotonic() >= due):
                self._send(address, whole)

    def _send(self, address: str, whole: bool) -> None:
        from tracking.mlflow.study_and_trial_exporter import StudyExporter

        if address not in self._exporters:
            self._exporters[address] = StudyExporter(self._store, self._folder, address, _say)
        exporter = self._exporters[address]
        try:
            exporter.update(whole=whole)
            if self._next.pop(address, None) is not None:
                _say(f"the {exporter.destination.shown} answers")
        except ServerAwayError as error:
            # It is unknown whether the last write has arrived. So the next attempt uses a new
            # exporter, which repeats all writes that are not noted.
            self._exporters.pop(address, None)
            first = address not in self._next
            self._next[address] = time.monotonic() + _SECONDS_AWAY
            # If the study was deleted, its record can't be read, and there is nothing to send.
            with contextlib.suppress(KerastudyError, OSError):
                if first:
                    push = study_command(read_folder(self._store, self._folder), "push")
                    _say(f"warning: {error} The study continues. To send the rest later: {push}")
        except (KerastudyError, OSError) as error:
            self._next[address] = math.inf
            _say(f"warning: {error} Nothing more is sent there; the journal has everything.")
        except Exception as error:
            # The journal has everything, so a failure of MLflow is only a warning.
            self._next[address] = math.inf
            _say(f"warning: no more is sent to the {exporter.destination.shown}: {error!r}")

    def _draw(self) -> bool:
        """Draws the study's report. Returns whether that succeeded."""
        try:
            from tracking.report import write_report

            # With the lock, a slower process can't replace a report by an older one.
            with locked_notes(self._folder):
                write_report(read_folder(self._store, self._folder))
        except Exception as error:
            _say(
                f"warning: the report could not be written ({type(error).__name__}: {error}). "
                "To make it: kerastudy report"
            )
            return False
        return True


def _import_report() -> None:
    """Imports the packages that draw a report, so that they are ready when the launch ends."""
    from optuna.importance import FanovaImportanceEvaluator  # noqa: F401

    import tracking.report.html_report  # noqa: F401


def _say(line: str) -> None:
    # If the launch has ended, it has closed the pipe, and `print` raises an OSError.
    with contextlib.suppress(OSError):
        print(" ".join(line.splitlines()), flush=True)


def _start(folder: Path, options: Sequence[str], *, piped: bool) -> subprocess.Popen[str]:
    home = str(Path(__file__).resolve().parents[2])
    try:
        return subprocess.Popen(
            # -P keeps the working folder out of sys.path.
            [sys.executable, "-P", "-c", _PROGRAM, home, str(folder), *options],
            stdin=subprocess.PIPE if piped else subprocess.DEVNULL,
            stdout=subprocess.PIPE if piped else subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            errors="replace",
            # Neither Ctrl-C nor the closing of the terminal reaches the process.
            start_new_session=True,
        )
    except OSError as error:
        raise StoreError(f"MLflow's exporter can't be started: {error}.") from error
