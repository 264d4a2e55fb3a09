"""The registered model of a study."""

from __future__ import annotations

from collections.abc import Iterator

from tracking import tags
from tracking.doctor.findings import Ailment
from tracking.doctor.studies import StudyRecord
from tracking.registry.models import model_version_fault
from tracking.runs.champion_versions import ALIAS, champion_version
from tracking.runs.parents import restore_run


def check_champion(record: StudyRecord) -> Iterator[Ailment]:
    """Checks that the champion is of a trial in the record, and that its files are whole."""
    store = record.store
    version = champion_version(store.client, record.name, record.experiment_id)
    if version is None:
        return
    run_id = version.tags.get(tags.CHAMPION_RUN, "")
    how = "launch the study again, unchanged: that registers its best checkpoint again"
    fault = model_version_fault(store, version)
    if run_id and run_id not in {run.info.run_id for run in record.present}:
        fault = f"it is of the run {run_id}, which is not in the record"
        if run_id in {run.info.run_id for run in record.runs}:
            fault = f"its trial's run {run_id} was deleted in MLflow"
            how = f"restore it: {restore_run(store, run_id)}"
    if fault:
        yield Ailment(
            "champion",
            f"the registered model models:/{version.name}@{ALIAS} can't be used: {fault}",
            how,
            study=record.name,
            run=run_id,
        )
