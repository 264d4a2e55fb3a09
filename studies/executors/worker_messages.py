"""The messages between the driver and a worker process.

| driver sends | worker answers |
|---|---|
| `LoadStudy` | `Loaded` or `Failed` |
| `RunFits` | `EpochResult` after each epoch, `TrialResult` after each fit, or `Failed` |
| a `Decision` after each epoch | |
| `SaveChampion`, `Ask` | `Answer` or `Failed` |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from search_spaces import SearchSpace
from studies.user_code import ShippedStudy, Target
from tracking.records import StudyDescription, TrialSpec, TrialTask


@dataclass(frozen=True)
class LoadStudy:
    """Load this study."""

    target: Target | ShippedStudy
    shared: Path  # The launch's temporary folder, through which workers share the loaded data.
    overrides: Mapping[str, Any] = field(default_factory=dict)  # Settings to replace, by name.
    data: str = ""  # The path of a file that replaces the study's data, or empty.
    threads: int = 1  # The number of TensorFlow's threads, unless the study sets it.


@dataclass(frozen=True)
class Loaded:
    """The study is loaded."""

    description: StudyDescription
    environment: Mapping[str, str]
    model_bytes: int = 0  # The size of the default model's weights; 0 if there is no such model.
    gpus: int = 0  # How many GPUs TensorFlow sees in the worker.


@dataclass(frozen=True)
class RunFits:
    """Run these fits one after another. Stop after a fit that is not complete."""

    fits: tuple[TrialTask, ...]


@dataclass(frozen=True)
class SaveChampion:
    """Save a trial's best weights as a model for MLflow; the answer is its validation metrics."""

    spec: TrialSpec
    checkpoint: Path
    space: SearchSpace
    folder: Path


@dataclass(frozen=True)
class Ask:
    """Call ``function(session, *arguments)`` with the worker's `Session`."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class Answer:
    """The value that an `Ask` or a `SaveChampion` asks for."""

    value: Any


@dataclass(frozen=True)
class Failed:
    """The worker could not load the study or answer a request, for the reason in `message`."""

    message: str
