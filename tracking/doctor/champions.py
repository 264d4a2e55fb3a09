"""The registered model of a study."""

from __future__ import annotations

from collections.abc import Iterator

from tracking.doctor.findings import Ailment, Finding
from tracking.doctor.studies import StudyRecord
from tracking.history import ALIAS, champion_run_id
from tracking.registry import champion_fault


def check_champion(record: StudyRecord) -> Iterator[Ailment]:
    """Checks that the champion is of a trial in the record, and that its files are whole."""
    run_id = champion_run_id(record.store, record.name)
    fault = champion_fault(record.store, record.name)
    if run_id and run_id not in {run.info.run_id for run in record.present}:
        fault = f"it is of the run {run_id}, which is not in the record"
    if fault:
        yield Ailment(
            Finding(
                "champion",
                f"the registered model models:/{record.name}@{ALIAS} is of no use: {fault}",
                "launch the study again, as it was: that registers its best checkpoint anew",
                study=record.name,
                run=run_id,
            )
        )
