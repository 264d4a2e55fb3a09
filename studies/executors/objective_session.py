"""A loaded study whose objective function does everything itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from search_spaces import Hyperparameters, SearchSpace
from search_spaces.errors import StudyError
from studies.definition import StudyDefinition
from studies.definition.objective import no_data
from studies.executors.session import Session, at_work, description_of
from studies.training.building.discovering import resolve_space
from studies.training.champion.champion_model import save_objective_champion
from studies.training.first_fit import TracedObjective
from studies.training.objective_run import run_objective
from studies.training.process import global_settings
from studies.training.process.determinism import configure_tensorflow
from studies.training.process.environment import PeakMemory, environment
from studies.training.process.users_state import UsersState
from studies.training.programs.compiled import CompiledTrainer
from studies.training.watch import OnEpochResult
from tracking.records import (
    CodeDescription,
    DataDescription,
    StudyDescription,
    TrialResult,
    TrialSpec,
    TrialTask,
)

_DATA = DataDescription(
    "the data of its objective function", "the objective function loads it", "", {}, {}, {}
)


@dataclass(frozen=True)
class ObjectiveSession(Session):
    """A `Session` without data, in which only the study's function trains."""

    def run(self, task: TrialTask, on_epoch: OnEpochResult) -> TrialResult:
        memory = PeakMemory()
        with at_work(self.state):
            result = run_objective(self.study, task, on_epoch)
            return replace(result, peak_memory_bytes=memory.size)

    def save_champion(
        self, spec: TrialSpec, checkpoint: Path, space: SearchSpace, folder: Path
    ) -> dict[str, float]:
        with at_work(self.state):
            save_objective_champion(self.study, space, spec, checkpoint, folder)
            return {}

    def splits_of(self, hp: Hyperparameters, fold: int | None = None) -> NoReturn:
        """Raises StudyError: there is no data."""
        raise StudyError(no_data(self.study.name))


def open_objective(
    study: StudyDefinition, code: CodeDescription, threads: int | None
) -> ObjectiveSession:
    """Finds an objective function's hyperparameters by running it up to its first training."""
    function = study.objective_function
    assert function is not None, "it is such a study"
    threads = configure_tensorflow(threads)
    # The study's file is loaded: its settings hold for all trials.
    global_settings.remember()
    traced, tailoring = TracedObjective(study.name, function), study.tailoring
    state = UsersState.of_study(study)
    with at_work(state):
        resolved = resolve_space(study, None, traced)
    study = resolved.study
    notes = [*_direction(study), *resolved.notes]
    description = _describe(study, code, threads, traced.epochs, notes)
    description = replace(
        description,
        discovered=resolved.joins,
        declared=resolved.declared,
        unread=resolved.unread,
        tailored={} if tailoring.empty else tailoring.to_dict(),
    )
    return ObjectiveSession(
        study,
        None,  # type: ignore[arg-type] # nothing asks for it
        description,
        environment(),
        CompiledTrainer("plain"),
        0,
        state,
    )


def _direction(study: StudyDefinition) -> list[str]:
    """Returns a warning if the study does not say which way is better."""
    if study.direction is not None:
        return []
    return [
        "no direction was given, so the value is minimized, as by optuna.create_study(). For the "
        "other way: --direction maximize, or Study(direction='maximize')."
    ]


def _describe(
    study: StudyDefinition,
    code: CodeDescription,
    threads: int,
    epochs: int,
    warnings: Sequence[str],
) -> StudyDescription:
    function = study.objective_function
    return replace(
        description_of(study, _DATA, code, threads, warnings),
        epochs=epochs,
        objective_function=str(getattr(function, "__name__", type(function).__name__)),
        # It begins again each time.
        goes_on=False,
    )
