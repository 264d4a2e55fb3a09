"""A study's runs as MLflow has them, whatever ails them: deleted ones too."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tracking import tags
from tracking.run_contents import definition_path
from tracking.searching import search_experiments, search_runs
from tracking.store import Store

if TYPE_CHECKING:
    from mlflow.entities import Experiment, Run

# See `checkpoint_path`, `state_path` and `one_before`.
_FILE = re.compile(
    r"trial-(\d{5,})(?:\.repeat-(\d+))?\.(weights\.h5|state\.safetensors)(?:\.before)?"
)


@dataclass(frozen=True)
class StudyRecord:
    """A study in the record.

    Attributes:
        store: Where it is.
        name: Its name.
        experiment_id: MLflow's experiment.
        runs: All its runs, in the order in which they were made.
    """

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
        """The latest whole parent run of each engine."""
        parents = [run for run in self.present if run.data.tags.get(tags.KIND) == "study"]
        return {run.data.tags.get(tags.ENGINE, ""): run for run in parents}

    def trials(self, parent: Run) -> list[Run]:
        """Returns the runs of the trials under a parent run."""
        found = parent.info.run_id
        return [run for run in self.present if run.data.tags.get(tags.PARENT) == found]

    def folders(self) -> list[Path]:
        """Returns where the parent runs keep the study's definition and file."""
        return [definition_path(parent).parent for parent in self.parents.values()]

    def numbers(self, folder: str) -> set[int]:
        """Returns the trials that the record has for a folder of checkpoints, deleted ones too."""
        return {
            int(run.data.tags[tags.NUMBER])
            for run in self.runs
            if run.data.tags.get(tags.NUMBER, "").isdigit()
            and run.data.tags.get(tags.ENGINE, "").replace(":", "-") == folder
        }


def study_experiments(store: Store) -> list[Experiment]:
    """Returns MLflow's experiments of a store's studies, but for those that were deleted."""
    found = search_experiments(store.client)
    return [each for each in found if each.tags.get(tags.KIND) == "study"]


def read_record(store: Store, experiment_id: str) -> StudyRecord:
    """Reads one study of a store, with the runs that were deleted in MLflow."""
    experiment = store.client.get_experiment(experiment_id)
    runs = tuple(search_runs(store.client, experiment_id, deleted=True))
    return StudyRecord(store, experiment.name, experiment_id, runs)


def file_of_trial(name: str) -> tuple[int, str] | None:
    """Returns the number of the trial whose file this is, and what it is; None if it is none."""
    found = _FILE.fullmatch(name)
    return None if found is None else (int(found[1]), found[3])
