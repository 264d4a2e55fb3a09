"""What was found in a study's data, in the record: a file among its parent run's artifacts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tracking.records.data_findings import DataFindings
from tracking.runs.run_contents import local_artifacts
from tracking.store.atomic import write_atomically
from tracking.store.folder import Store

if TYPE_CHECKING:
    from mlflow.entities import Run


def read_data_findings(store: Store, parent: Run) -> DataFindings | None:
    """Returns what was found in a study's data; None if nothing is recorded, or it is damaged."""
    try:
        return DataFindings.from_json(_file(store, parent).read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_data_findings(store: Store, parent: Run, found: DataFindings) -> None:
    """Records what was found in a study's data; a glance does not replace a thorough look."""
    before = read_data_findings(store, parent)
    if before is not None and before.digest == found.digest and not found.thorough:
        return
    file = _file(store, parent)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, found.to_json())


def _file(store: Store, parent: Run) -> Path:
    return local_artifacts(store, parent) / "study" / "data.json"
