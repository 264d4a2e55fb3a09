"""Writes a study's report among the artifacts of its parent run."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from tracking.history.study_history import StudyHistory, read_study
from tracking.runs.run_contents import local_artifacts
from tracking.store.files import write_atomically

FILE_NAME = "report.html"


def warm_up() -> None:
    """Imports what a report needs, which takes two seconds; for a thread, while trials train."""
    with contextlib.suppress(Exception):
        import optuna.importance

        from tracking.report import page, theme

        # Looked up when it is first used, as is the schema of charts.
        optuna.importance.FanovaImportanceEvaluator()
        points = theme.chart().mark_point().encode(x="x:Q", y="y:Q")
        drawn = theme.layers(points.add_params(theme.brush("")), theme.picked_ring(points))
        theme.finished(drawn, "", "", 9, "").to_dict(validate=False)
        page.vega_library()


def write_report(history: StudyHistory, without: Path | None = None) -> Path:
    """Writes a study's page, where commands need not name a folder `without`; returns its path."""
    from tracking.report.page import study_page

    file = _file(history)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, study_page(history, without))
    return file


def renew_report(history: StudyHistory, without: Path | None = None) -> None:
    """Writes a study's report again, if it has one and something else than a launch changed it."""
    if _file(history).is_file():
        description = history.description
        write_report(read_study(history.store, description.name, description.engine), without)


def write_comparison(histories: Sequence[StudyHistory], page: Path) -> None:
    """Writes a page with studies, or engines of one, side by side.

    Raises:
        ComparisonError: If they can't be compared.
    """
    from tracking.report.page import comparison_page

    write_atomically(page, comparison_page(histories))


def _file(history: StudyHistory) -> Path:
    parent = history.store.client.get_run(history.parent_run_id)
    return local_artifacts(history.store, parent) / FILE_NAME
