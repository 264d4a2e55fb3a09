"""Exports a trial as a script of plain Keras, which ends with the same weights bit for bit."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from search_spaces.errors import StudyError
from studies.again.recorded_worker import recorded_worker
from studies.again.reruns import trainings_of
from studies.definition.study_definition import StudyDefinition
from studies.exporting.asked import check_free, explained, file_for, trial_to_export
from studies.exporting.scripts.head import RecordedTrial
from studies.exporting.scripts.parts import ScriptParts, script_parts
from studies.exporting.scripts.text import script_text
from studies.progress import NoProgress, Progress
from tracking.history.curves import epoch_metrics
from tracking.history.study_history import StudyHistory
from tracking.records import CodeDescription, EndedTrial, TrialSpec
from tracking.store.atomic import replacing, write_atomically


@dataclass(frozen=True)
class ScriptExport:
    """An exported script.

    Attributes:
        study: The study's name.
        engine: The engine that proposed the trial.
        trial: Its number.
        script: The script.
        data: The file of arrays next to it, or None.
        reads: The data file that it reads where it is, or empty.
        imports: Why it imports the builder, and so needs kerastudy; empty if it does not.
        notes: What has changed since the trial.
    """

    study: str
    engine: str
    trial: int
    script: Path
    data: Path | None
    reads: str
    imports: str
    notes: tuple[str, ...]


def export_script(
    history: StudyHistory,
    number: int | None = None,
    output: str | Path | None = None,
    *,
    force: bool = False,
    study: StudyDefinition | None = None,
    data: str = "",
    progress: Progress | None = None,
) -> ScriptExport:
    """Writes a trial as one file of plain Keras.

    The script makes the data, the model and all random choices again without kerastudy, Optuna or
    MLflow, and says whether its metrics and weights are the recorded ones. It runs the recorded
    code of the study once, in a worker process, to see what the builder and the data are.

    Args:
        history: The study.
        number: The trial; None: the best.
        output: The script's path; None: ``STUDY-trial-N.py`` in this folder.
        force: Whether to replace files.
        study: The study of this process, such as a notebook's, instead of the recorded code.
        data: The file with the data, if it has moved.
        progress: Gets messages.

    Raises:
        StudyNotFoundError: If there is no such trial, or no trial with a value.
        StudyError: If a script can't do what the trial did, which it names; or if files exist.

    Example:
        ```python
        ks.export_script(ks.read_study("digits"))
        ```
    """
    progress = progress or NoProgress()
    trial = trial_to_export(history, number)
    name = history.description.name
    if trial.result.folds:
        raise StudyError(
            f"Trial {trial.number} of {name!r} is cross-validated, and a script of plain Keras "
            "trains once. `kerastudy reproduce` trains its folds again by model.fit."
        )
    if history.description.objective_function:
        raise StudyError(
            f"The study {name!r} can't be exported as a script: its objective_function loads its "
            "data and trains by itself, and so is one already. Its values are in `kerastudy show "
            f"{shlex.quote(name)} --trial {trial.number}`, and `kerastudy reproduce` runs it again."
        )
    script = file_for(output, f"{name}-trial-{trial.number}.py", force)
    beside = script.with_suffix(".npz")
    check_free(beside, force)
    training = trainings_of(trial)[trial.result.best_repeat]
    if not training.weights_sha256:
        raise StudyError(
            f"Trial {trial.number} of {name!r} has no recorded weights to compare with"
            f"{': ' + trial.result.unsaved if trial.result.unsaved else ''}."
        )
    spec = training_of(trial)
    with recorded_worker(history, trial, study=study, data=data, progress=progress) as (
        worker,
        notes,
    ):
        space = history.description.space
        parts: ScriptParts = worker.ask(script_parts, space, spec, beside.name)
        code = worker.description.code
    if parts.data_digest != trial.data_digest:
        raise StudyError(
            f"The data of the study {name!r} has changed since trial {trial.number}: its digest "
            f"was {trial.data_digest[:16]}… and is {parts.data_digest[:16]}…. Give the file that "
            "it was trained on by --data."
        )
    if parts.builder is None and not code.variable:
        raise StudyError(
            f"The study {name!r} can't be exported as a script: {parts.why_imported}, and no "
            "variable at the top level of its file holds the study, to import it from."
        )
    write_script(history, trial, parts, code, script)
    return ScriptExport(
        name,
        history.description.engine,
        trial.number,
        script,
        beside if parts.data.file else None,
        parts.data.reads,
        parts.why_imported,
        tuple(notes),
    )


def training_of(trial: EndedTrial) -> TrialSpec:
    """Returns the training that a script repeats: the best of a trial's, from its first epoch."""
    spec = trainings_of(trial)[trial.result.best_repeat].spec
    return replace(spec, class_weight=trial.result.class_weight or spec.class_weight)


def write_script(
    history: StudyHistory,
    trial: EndedTrial,
    parts: ScriptParts,
    code: CodeDescription,
    script: Path,
) -> None:
    """Writes a trial's script, and its arrays next to it.

    Args:
        history: The study.
        trial: One with recorded weights.
        parts: What the study adds.
        code: Where it is defined.
        script: The file.
    """
    training = trainings_of(trial)[trial.result.best_repeat]
    recorded = RecordedTrial(
        history.description.name,
        training_of(trial),
        trial.best_training[1],
        epoch_metrics(history.store, training.run_id),
        training.epochs,
        training.weights_sha256,
        trial.environment,
        code.path,
        code.variable,
        code.folder,
    )
    text = script_text(recorded, parts, script.name)
    with explained(script):
        if parts.data.file:
            with replacing(script.with_suffix(".npz")) as partial, partial.open("wb") as stream:
                np.savez_compressed(stream, **parts.data.file)  # type: ignore[arg-type]
        write_atomically(script, text)
