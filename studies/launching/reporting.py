"""Writes a study's report at the end of a launch."""

from __future__ import annotations

import contextlib
import threading

from studies.progress import Progress
from tracking.history.study_history import StudyHistory
from tracking.report.write import early_plots, warm_up, write_report
from tracking.store.folder import default_store_path


class ReportWriter:
    """Writes a study's report at the end of its launch.

    Args:
        progress: Gets a warning if the report can't be written.
        wanted: Whether to write one.
    """

    def __init__(self, progress: Progress, *, wanted: bool) -> None:
        self._progress = progress
        self._wanted = wanted
        self._thread: threading.Thread | None = None
        self._trials: list[tuple[str, bool]] = []
        self._drawn: dict[str, str] = {}

    def prepare(self, history: StudyHistory) -> None:
        """Begins to draw the study's trials, while a worker verifies the champion."""
        if self._wanted:
            self._trials = _compared(history)
            self._thread = threading.Thread(target=self._draw, args=(history,), daemon=True)
            self._thread.start()

    def _draw(self, history: StudyHistory) -> None:
        warm_up()
        # If it fails, `write` says why.
        with contextlib.suppress(Exception):
            self._drawn = early_plots(history)

    def write(self, history: StudyHistory) -> None:
        """Writes the report. If that fails, it says so: the study is what counts."""
        if self._thread is None:
            return
        self._progress.wait("writing the report")
        self._thread.join()
        drawn = self._drawn if _compared(history) == self._trials else {}
        try:
            write_report(history, default_store_path().absolute(), drawn)
        except Exception as error:
            self._progress.say(
                f"warning: the report could not be written ({type(error).__name__}: {error}). "
                "To make it: kerastudy report"
            )


def _compared(history: StudyHistory) -> list[tuple[str, bool]]:
    """Returns what the verification of a champion may change in plots."""
    return [(trial.run_id, trial.holds) for trial in history.trials]
