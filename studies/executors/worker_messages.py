"""The messages between the driver and a worker process.

| driver sends | worker answers |
|---|---|
| `LoadStudy`, by standard input | `Loaded`, `ThreadsDiffer` or `Failed` |
| `RunFits` | `EpochResult` after each epoch, `TrialResult` after each fit, or `Failed` |
| a `Decision` after each epoch | |
| `SaveChampion` | `ChampionSaved` or `Failed` |
| `Ask` | `Answer` or `Failed` |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search_spaces import SearchSpace
from search_spaces.errors import StudyError
from studies.user_code import ShippedStudy, Target
from tracking.records import StudyDescription, TrialSpec, TrialTask


@dataclass(frozen=True)
class LoadStudy:
    """Load this study."""

    target: Target | ShippedStudy
    overrides: Mapping[str, Any]
    data: str
    threads: int
    shared: Path  # Temporary files of the process go into this folder.
    # Workers share the study's data in this folder. If it is None, they do so in `shared`.
    data_folder: Path | None = None


@dataclass(frozen=True)
class Loaded:
    """The study is loaded."""

    description: StudyDescription
    environment: Mapping[str, str]
    model_bytes: int = 0  # The size of the default model's weights; 0 if there is no such model.
    gpus: int = 0  # The number of GPUs that TensorFlow sees in the worker.


@dataclass(frozen=True)
class RunFits:
    """Run these fits, up to the first that is not complete."""

    fits: tuple[TrialTask, ...]


@dataclass(frozen=True)
class SaveChampion:
    """Save this trial's best weights as a model for MLflow."""

    spec: TrialSpec
    checkpoint: Path
    space: SearchSpace
    folder: Path


@dataclass(frozen=True)
class ChampionSaved:
    """The model is saved, and has these validation metrics."""

    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Ask:
    """Call a module's function with the worker's `Session` and these arguments."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class Answer:
    """The value that the function returned."""

    value: Any


@dataclass(frozen=True)
class Failed:
    """The request failed, for a reason that the user can mend."""

    message: str


@dataclass(frozen=True)
class ThreadsDiffer:
    """The study needs a number of threads that differs from this process's."""

    threads: int


class LoadedByWorkers:
    """The common part of executors whose workers load the study."""

    _loaded: Loaded | None = None

    @property
    def loaded(self) -> Loaded:
        """The answer of a worker that has loaded the study."""
        assert self._loaded is not None, "call load() first"
        return self._loaded

    @property
    def description(self) -> StudyDescription:
        return self.loaded.description

    @property
    def environment(self) -> Mapping[str, str]:
        return self.loaded.environment


def check_same(before: StudyDescription, now: StudyDescription) -> None:
    """Raises StudyError if two processes have loaded different code, data or spaces."""
    changed = now.code.changes_since(before.code)
    if changed:
        raise StudyError(
            f"The code of the study {before.name!r} has changed while it was loaded: "
            f"{', '.join(changed)}",
            hint="Launch again.",
        )
    if before.data.digest != now.data.digest or before.space != now.space:
        raise StudyError(
            f"What the study {before.name!r} loads has changed while it ran (its data, or what its "
            "file imports), or is drawn without a seed",
            hint="Undo the change and launch again to resume.",
        )
