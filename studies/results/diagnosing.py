"""Diagnosing studies, from Python."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from studies.definition.settings import check_engine
from studies.results.models import existing_store
from tracking.history.study_history import StudyHistory, read_study
from tracking.store.folder import Store, default_store_path

if TYPE_CHECKING:
    from tracking.diagnosis.diagnosing import Diagnosis


def diagnose(
    study: str | StudyHistory,
    *,
    store: str | Path | Store | None = None,
    engine: str | None = None,
) -> Diagnosis:
    """Reads Google's Deep Learning Tuning Playbook off a study's record. Nothing is trained.

    Args:
        study: The study's name, or what `read_study` or `Study.launch` returned.
        store: The store's folder; default ``KERASTUDY_STORE`` or ``./kerastudy-store``.
        engine: Which of its engines; None for the one with the best trial of all.

    Returns:
        Its findings, each with its evidence, and the launch that should follow.

    Raises:
        StudyNotFoundError: If there is no such store or study, or it was not launched with this
            engine.

    Example:
        ```python
        diagnosis = ks.diagnose("digits")
        [(each.severity, each.title, each.verdict) for each in diagnosis.findings]
        print(diagnosis.command)
        ```
    """
    from tracking.diagnosis.diagnosing import diagnose as diagnose_record

    if isinstance(study, str):
        study = read_study(
            existing_store(store), study, None if engine is None else check_engine(engine)
        )
    return diagnose_record(study, default_store_path().absolute())
