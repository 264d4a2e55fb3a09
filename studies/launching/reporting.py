"""Writes a study's report at the end of a launch."""

from __future__ import annotations

import threading

from studies.progress import Progress
from tracking.history.study_history import StudyHistory
from tracking.report.write import warm_up, write_report
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

    def prepare(self) -> None:
        """Begins to import what charts need, while a worker verifies the champion."""
        if self._wanted:
            self._thread = threading.Thread(target=warm_up, daemon=True)
            self._thread.start()

    def write(self, history: StudyHistory) -> None:
        """Writes the report. If that fails, it says so: the study is what counts."""
        if self._thread is None:
            return
        self._progress.wait("writing the report")
        self._thread.join()
        try:
            write_report(history, default_store_path().absolute())
        except Exception as error:
            self._progress.say(
                f"warning: the report could not be written ({type(error).__name__}: {error}). "
                "To make it: kerastudy report"
            )
