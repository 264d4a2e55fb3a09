"""`kerastudy reproduce`: trains a trial again from its record, and compares the results."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from search_spaces.errors import StudyNotFoundError
from search_spaces.texts import counted
from studies.champion.recorded_code import AS_IT_IS, AnyExecutor, recorded_executor
from studies.champion.rerun_jobs import Rerun, trainings_of
from studies.definition import StudyDefinition
from studies.progress import NoProgress, Progress, showing
from studies.training import environment_differences
from tracking.history.champions import record_verified
from tracking.history.study_history import StudyHistory, existing_store, read_study
from tracking.mlflow.exporter_process import export_later
from tracking.records import EndedTrial, TrainerName
from tracking.records.verification_texts import DIFFERS, is_known, not_reproduced, reproduced


@dataclass(frozen=True)
class Reproduction:
    """The outcome of training a trial again.

    Attributes:
        study: The study's name.
        trial: The trial's number.
        identical: Whether every metric of every epoch and the weights' digest are the same.
        epochs: The number of epochs that were compared.
        max_difference: The largest absolute difference between a metric's recorded and new values.
            It is infinite if one of the two trainings lacks a metric or an epoch of the other. It
            is None if nothing was compared.
        recorded_sha256: The digest of the recorded weights of the best epoch.
        reproduced_sha256: The digest of the new weights after the same epoch. It is empty if the
            new training did not reach that epoch.
        environment_differences: Sentences on differences in the versions and the machine.
        notes: Further messages. For example, one says that the code has changed.
        engine: The engine that proposed the trial.
        trainer: The trainer of the new training: "plain" (`model.fit`), "compiled", "hypermodel" (a
            HyperModel's own fit), or "objective" (an objective function). It is empty if nothing
            was trained.
    """

    study: str
    trial: int
    identical: bool
    epochs: int
    max_difference: float | None
    recorded_sha256: str
    reproduced_sha256: str
    environment_differences: tuple[str, ...]
    notes: tuple[str, ...]
    trainer: str = ""
    engine: str = ""


def reproduce(
    history: StudyHistory,
    number: int | None = None,
    *,
    study: StudyDefinition | None = None,
    data: str = "",
    trainer: TrainerName | None = "plain",
    progress: Progress | None = None,
) -> Reproduction:
    """Trains a trial again in a new process, and compares metrics and weights with its record.

    Hyperparameters, seed, epochs and code come from the record. If the study file or the user's
    modules have changed, their recorded texts are run. Installed packages are used as they are now.
    A lost checkpoint is written again if the weights are the same.

    `trainer` is the trainer of the new training; None stands for the study's trainer. By default,
    plain `model.fit` trains. Then "identical" means that Keras alone, without kerastudy's compiled
    trainer, gives the same bits. If a HyperModel overrides `fit`, its `fit` always trains.
    """
    progress = progress or NoProgress()
    trial = history.chosen if number is None else history.trial(number)
    name = history.description.name
    if trial is None:
        raise StudyNotFoundError(f"The study {name!r} has no trial with a value to reproduce.")
    if trial.state == "interrupted":
        raise StudyNotFoundError(
            f"Trial {trial.number} of {name!r} is interrupted. Launch the study again to finish "
            "it, then reproduce it."
        )
    if not isinstance(trial, EndedTrial) or not _has_epochs(trial):
        raise StudyNotFoundError(
            f"Trial {trial.number} of {name!r} is {trial.state} and has no epochs to compare."
        )
    notes: list[str] = []
    with recorded_executor(
        history, trial, study=study, data=data, progress=progress, notes=notes
    ) as worker:
        unsure = [note for note in notes if note.endswith(AS_IT_IS)]
        now = worker.description.data.digest
        if now != trial.spec.data_digest:
            notes.append(
                "the data has changed: its digest was "
                f"{trial.spec.data_digest[:16]}… and is {now[:16]}…, so nothing was run"
            )
            progress.say(notes[-1])
            return _compared(history, trial, [], worker, notes)
        faults = history.checkpoint_faults(trial) if trial in history.kept else {}
        reruns = [Rerun(history, trial, training, progress) for training in trainings_of(trial)]
        with tempfile.TemporaryDirectory() as folder:
            by_objective = trial.result.trainer == "objective"
            epochs = trial.result.epochs if by_objective else trial.spec.epochs
            progress.say(
                f"running trial {trial.number} of {name} again, {counted(epochs, 'epoch')}"
                + (f", {len(reruns)} times" if len(reruns) > 1 else "")
            )
            for rerun in reruns:
                spec = rerun.training.spec
                weights = Path(folder) / f"again-{spec.repeat}.weights.h5"
                rerun.run(worker, weights, trainer)
                if spec.repeat in faults:
                    notes.append(_restored(rerun, weights, faults[spec.repeat]))
                    progress.say(notes[-1])
        shown = len(notes)
        outcome = _compared(history, trial, reruns, worker, notes)
        for note in notes[shown:]:
            progress.say(note)
        if outcome.trainer != "compiled":
            # `verified` tells how the trial compares with plain Keras. The compiled trainer can't
            # answer this, so its outcome is not recorded.
            _record(history, trial, outcome, reruns, unsure, progress)
        return outcome


def _record(
    history: StudyHistory,
    trial: EndedTrial,
    outcome: Reproduction,
    reruns: Sequence[Rerun],
    unsure: Sequence[str],
    progress: Progress,
) -> None:
    """Records the outcome as the trial's `verified` text.

    `unsure` has those notes that say that other code than the recorded code may have run.
    """
    day = time.strftime("%Y-%m-%d")
    causes = [*unsure, *outcome.environment_differences]
    causes += ["its data is another" for rerun in reruns if rerun.other_data]
    differences = (rerun.difference for rerun in reruns if rerun.difference)
    why = next(differences, "the weights of its best epoch differ")
    if outcome.identical:
        text = reproduced(trainer_in_words(outcome.trainer), outcome.epochs, day)
    elif causes and is_known(trial.verified):
        # Other code, data or versions may have caused the difference, so the earlier outcome stays.
        return
    elif causes or trial.result.trainer != "compiled":
        text = not_reproduced("; but ".join([why, *causes[:1]]), day)
    else:
        text = DIFFERS + why
        progress.say(
            f"warning: trial {trial.number} no longer counts, as model.fit contradicts it; launch "
            "the study again to choose its champion"
        )
    try:
        record_verified(history, trial, text)
        export_later(history.folder)
    except Exception as error:
        progress.say(f"warning: this outcome is not recorded, or not sent to MLflow: {error}")


def reproduce_study(
    study: StudyDefinition,
    number: int | None,
    *,
    store: str | Path | None,
    engine: str | None,
    trainer: TrainerName,
    progress: bool,
) -> Reproduction:
    """Trains a trial again with a study object of this process instead of the recorded code."""
    with showing(progress) as shown:
        history = read_study(existing_store(store), study.name, engine)
        return reproduce(history, number, study=study, trainer=trainer, progress=shown)


def _has_epochs(trial: EndedTrial) -> bool:
    """Returns whether a trial has epochs to compare.

    A pruned trial without a value has epochs if it has repeats or an objective function.
    """
    several = bool(trial.result.repeats) or trial.result.trainer == "objective"
    return trial.best is not None or (trial.state == "pruned" and several)


def _restored(rerun: Rerun, weights: Path, fault: str) -> str:
    """Restores a lost checkpoint if the new weights are the recorded ones.

    Returns a note that says whether it is restored.
    """
    was = f"the checkpoint of trial {rerun.training.spec.number} could not be used ({fault})"
    try:
        path = rerun.restore(weights)
    except OSError as error:
        return f"{was}, and cannot be written again: {error.strerror or error}"
    if path is None:
        return f"{was}, and is not restored: the weights are not the same"
    return f"{was}, and is restored: {str(path)!r}"


def _compared(
    history: StudyHistory,
    trial: EndedTrial,
    reruns: Sequence[Rerun],
    worker: AnyExecutor,
    notes: list[str],
) -> Reproduction:
    epochs = sum(len(rerun.recorded.keys() & rerun.epochs.keys()) for rerun in reruns)
    differences = [max_difference(rerun.recorded, rerun.epochs) for rerun in reruns]
    same = all(rerun.same_weights and not rerun.other_data for rerun in reruns)
    for rerun in reruns:
        assert rerun.result is not None
        if rerun.difference:
            notes.append(f"first difference: {rerun.difference}")
        if rerun.other_data:
            drawn = ", or is drawn without a seed" if trial.result.trainer == "objective" else ""
            notes.append(
                f"the data of the trial has changed{drawn}: its digest was "
                f"{trial.data_digest[:16]}… and is {rerun.result.data_digest[:16]}…"
            )
        if rerun.result.reason not in trial.result.reason:
            notes.append(f"the trial now ends as {rerun.result.state}: {rerun.result.reason}")
    identical = same and max(differences, default=math.inf) == 0.0
    if reruns and not identical:
        streams = worker.description.data.details.get("streams") or {}
        changing = [part for part, stream in streams.items() if not stream["same_each_time"]]
        if changing:
            parts = " and ".join(changing)
            notes.append(f"the {parts} data is not the same each time that it is read")
    best = reruns[trial.result.best_repeat].result if reruns else None
    recorded = trainings_of(trial)[trial.result.best_repeat].result
    environment = environment_differences(trial.environment, worker.environment)
    return Reproduction(
        study=history.description.name,
        trial=trial.number,
        identical=identical,
        epochs=epochs,
        max_difference=max(differences, default=None),
        recorded_sha256=recorded.weights_sha256,
        reproduced_sha256=best.weights_sha256 if best is not None else "",
        environment_differences=tuple(environment),
        notes=tuple(notes),
        trainer=best.trainer if best is not None else "",
        engine=history.description.engine,
    )


def max_difference(
    first: Mapping[int, Mapping[str, float]], second: Mapping[int, Mapping[str, float]]
) -> float:
    """Returns the largest absolute difference between a metric's values in two trainings.

    The result is infinite if one training lacks an epoch or a metric of the other. Values that are
    not finite are not compared, as the record leaves them out.
    """
    largest = 0.0
    for epoch in first.keys() | second.keys():
        one, other = (
            {name: value for name, value in epochs.get(epoch, {}).items() if math.isfinite(value)}
            for epochs in (first, second)
        )
        if one.keys() != other.keys():
            return math.inf
        largest = max([largest, *(abs(one[name] - other[name]) for name in one)])
    return largest


def trainer_in_words(name: str) -> str:
    """Returns a value of `TrialResult.trainer` in words, such as ``model.fit`` for ``plain``."""
    return {
        "plain": "model.fit",
        "compiled": "the compiled trainer",
        "hypermodel": "the HyperModel's own fit",
        "objective": "the objective function itself",
    }.get(name, name or "an unknown trainer")
