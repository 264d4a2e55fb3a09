"""A trial's model as a `.keras` file."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from studies.again.recorded import check_data, recorded_worker
from studies.champion.checkpoints import weights_of
from studies.definition.study_definition import StudyDefinition
from studies.exporting.asked import file_for, trial_to_export, written
from studies.progress import NoProgress, Progress
from tracking.history.study_history import StudyHistory
from tracking.registry.models import local_model
from tracking.runs.champion_versions import champion_version

_MODEL = Path("data", "model.keras")


@dataclass(frozen=True)
class KerasExport:
    """An exported model.

    Attributes:
        study: The study's name.
        engine: The engine that proposed the trial.
        trial: Its number.
        file: The file.
    """

    study: str
    engine: str
    trial: int
    file: Path


def export_keras(
    history: StudyHistory,
    number: int | None = None,
    output: str | Path | None = None,
    *,
    force: bool = False,
    study: StudyDefinition | None = None,
    data: str = "",
    progress: Progress | None = None,
) -> KerasExport:
    """Writes a trial's model, with the weights of its best epoch, as a `.keras` file.

    It takes samples as they were passed to the study. The champion's file is a copy of the
    registered one; any other trial's model is built again by the recorded code.

    Args:
        history: The study.
        number: The trial; None: the best.
        output: The file; None: ``STUDY-trial-N.keras`` in this folder.
        force: Whether to replace a file.
        study: The study of this process, such as a notebook's, instead of the recorded code.
        data: The file with the data, if it has moved.
        progress: Gets messages.

    Raises:
        StudyNotFoundError: If there is no such trial, or no trial with a value.
        StudyError: If the file exists, or the model can't be built or saved.
    """
    progress = progress or NoProgress()
    trial = trial_to_export(history, number)
    name = history.description.name
    default = f"{name}-trial-{trial.number}.keras"
    file = file_for(output, default, force)
    with tempfile.TemporaryDirectory() as folder:
        model = _registered(history) if trial.run_id == history.champion_run_id else None
        if model is None:
            made = Path(folder, "model")
            with recorded_worker(history, trial, study=study, data=data, progress=progress) as (
                worker,
                _,
            ):
                check_data(trial, worker)
                checkpoint, trial = weights_of(history, trial, worker, Path(folder), progress)
                spec, _ = trial.best_training
                worker.save_champion(spec, checkpoint, history.description.space, made)
            model = made / _MODEL
        with written(file, default, force) as (_, partial):
            shutil.copyfile(model, partial)
    return KerasExport(name, history.description.engine, trial.number, file)


def _registered(history: StudyHistory) -> Path | None:
    """Returns the file of the registered model, if it is there."""
    name = history.description.name
    version = champion_version(history.store.client, name, history.experiment_id)
    if version is None:
        return None
    file = local_model(history.store, version.source) / _MODEL
    return file if file.is_file() else None
