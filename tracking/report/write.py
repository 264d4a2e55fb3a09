"""Writes a study's report into its folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tracking.history.study_history import StudyHistory
from tracking.store.files import write_atomically

FILE_NAME = "report.html"


def write_report(history: StudyHistory, without: Path | None = None) -> Path:
    """Writes a study's page, where commands need not name a folder `without`; returns its path."""
    from tracking.report.page import study_page

    file = history.folder / FILE_NAME
    write_atomically(file, study_page(history, without))
    return file


def write_comparison(histories: Sequence[StudyHistory], page: Path) -> None:
    """Writes a page with studies, or engines of one, side by side.

    Raises:
        ComparisonError: If they can't be compared.
    """
    from tracking.report.page import comparison_page

    write_atomically(page, comparison_page(histories))
