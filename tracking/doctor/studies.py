"""A study's runs in MLflow, damaged and deleted ones too."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from search_spaces.errors import StoreError
from tracking import tags
from tracking.runs.parents import engine_of
from tracking.runs.run_contents import definition_path, local_artifacts
from tracking.runs.searching import search_runs
from tracking.runs.study_files import study_folder
from tracking.store.folder import Store

if TYPE_CHECKING:
    from mlflow.entities import Run

# See `StudyFiles` and `one_before`.
_FILE = re.compile(
    r"trial-(\d{5,})(?:\.repeat-(\d+))?\.(weights\.h5|(?:state|scores)\.safetensors)(?:\.before)?"
)


@dataclass(frozen=True)
class StudyRecord:
    """A study in the record."""

    store: Store
    name: str
    experiment_id: str
    runs: tuple[Run, ...]

    @property
    def present(self) -> list[Run]:
        """The runs that were not deleted."""
        return [run for run in self.runs if run.info.lifecycle_stage == "active"]

    @property
    def parents(self) -> dict[str, Run]:
        """The latest complete parent run of each engine, if it is in the store."""
        return {self._engine(run): run for run in self.marked if self._is_inside(run)}

    @property
    def marked(self) -> list[Run]:
        """The runs that are marked as a study's parent run."""
        return [run for run in self.present if run.data.tags.get(tags.KIND) == "study"]

    def _is_inside(self, run: Run) -> bool:
        try:
            local_artifacts(self.store, run)
        except StoreError:
            return False
        return True

    def _engine(self, parent: Run) -> str:
        try:
            return engine_of(self.store, parent)
        except StoreError:
            return ""

    @property
    def folder(self) -> Path:
        """The folder of its checkpoints and states."""
        return study_folder(self.store, self.experiment_id)

    def trials(self, parent: Run) -> list[Run]:
        """Returns the runs of the trials under a parent run."""
        found = parent.info.run_id
        return [run for run in self.present if run.data.tags.get(tags.PARENT) == found]

    def folders(self) -> list[Path]:
        """Returns the folders in which the parent runs keep the study's definition and file."""
        return [definition_path(self.store, run).parent for run in self.parents.values()]

    def numbers(self, folder: str) -> set[int]:
        """Returns the recorded trials of a folder of checkpoints, deleted ones too."""
        return {
            int(run.data.tags[tags.NUMBER])
            for run in self.runs
            if run.data.tags.get(tags.NUMBER, "").isdigit()
            and run.data.tags.get(tags.ENGINE, "").replace(":", "-") == folder
        }


def read_record(store: Store, experiment_id: str) -> StudyRecord:
    """Reads a study of a store, with runs that were deleted in MLflow."""
    experiment = store.client.get_experiment(experiment_id)
    runs = tuple(search_runs(store.client, experiment_id, deleted=True))
    return StudyRecord(store, experiment.name, experiment_id, runs)


def file_of_trial(name: str) -> tuple[int, str] | None:
    """Returns a file's trial by number, and the kind of file; None for other files."""
    found = _FILE.fullmatch(name)
    return None if found is None else (int(found[1]), found[3])
