"""Findings of checks, mending them, and the studies that are checked, deleted runs included."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from search_spaces.errors import StoreError, TrackingError
from tracking import tags
from tracking.runs.parents import engine_of, search_runs
from tracking.runs.run_contents import definition_path, local_artifacts
from tracking.runs.study_files import study_folder
from tracking.store.folder import Store

if TYPE_CHECKING:
    from mlflow.entities import Run

Kind = Literal[
    "store",  # store.json
    "database",  # mlflow.db
    "running",  # a run that is RUNNING without a process
    "unmade",  # a study whose process was killed while it was made
    "record",  # a run that can't be read, or is missing
    "definition",  # a study's definition
    "code",  # the text of a study file
    "checkpoint",  # the weights of a trial
    "scores",  # the scores of a trial's validation samples
    "state",  # the state of a training that may be resumed
    "champion",  # the registered model
    "leftover",  # a piece of a file
    "orphan",  # files without anything in the record
]


@dataclass(frozen=True)
class Finding:
    """A fault in a store."""

    kind: Kind
    what: str  # For people to read.
    how: str  # A command to give, or what ``--fix`` does.
    study: str = ""
    engine: str = ""
    trial: int | None = None
    run: str = ""
    path: str = ""
    mended: bool = False


@dataclass(frozen=True)
class Ailment(Finding):
    """A finding, and the function that mends it; None if only a person can."""

    mend: Callable[[], object] | None = None


def attended(ailments: Iterable[Ailment], *, fix: bool) -> Iterator[Finding]:
    """Yields a check's findings, mended if possible and asked for, once it has found all."""
    for ailment in list(ailments):
        finding = Finding(**{each.name: getattr(ailment, each.name) for each in fields(Finding)})
        if not fix or ailment.mend is None:
            yield finding
            continue
        try:
            ailment.mend()
        except (OSError, TrackingError) as error:
            why = getattr(error, "strerror", None) or error
            yield replace(finding, how=f"{finding.how} (that failed: {why})")
        else:
            yield replace(finding, mended=True)


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
