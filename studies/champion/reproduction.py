"""`kerastudy reproduce`: trains a trial again from its record, and compares the results."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from search_spaces.errors import StudyNotFoundError
from studies.champion.runnable_recorded_study import AS_IT_IS, AnyExecutor, RunnableStudy
from studies.champion.verification_and_retraining import Rerun, best_training_of, trainings_of
from studies.training import environment_differences
from tracking.history import record_verified
from tracking.mlflow import export_later
from tracking.records import DIFFERS, EndedTrial, is_known, not_reproduced, reproduced
from tracking.shell_commands import reproduce_command


@dataclass(frozen=True)
class Reproduction:
    """The outcome of training a trial again.

    Attributes:
        study: The study's name.
        trial: The trial's number.
        identical: Whether every metric of every epoch and the weights' digest are the same.
        epochs: The number of epochs that were compared.
        recorded_sha256: The digest of the recorded weights of the best epoch.
        reproduced_sha256: The digest of the new weights after the same epoch. It is empty if the
            new training did not reach that epoch.
        environment_differences: Sentences on differences in the versions and the machine.
        notes: Further messages. For example, one says that the code has changed.
        trainer: The trainer of the new training: "plain" (`model.fit`), "hypermodel" (a
            HyperModel's own fit), or "objective" (an objective function). It is empty if nothing
            was trained.
    """

    study: str
    trial: int
    identical: bool
    epochs: int
    recorded_sha256: str
    reproduced_sha256: str
    environment_differences: tuple[str, ...]
    notes: tuple[str, ...]
    trainer: str


def reproduce(study: RunnableStudy, number: int | None = None) -> Reproduction:
    """Trains a trial again in a new process, and compares metrics and weights with its record.

    Hyperparameters, seed, epochs and code come from the record. If the study file or the user's
    modules have changed, their recorded texts are run. Installed packages are used as they are now.
    A lost checkpoint is written again if the weights are the same.

    Plain `model.fit` trains the trial. So "identical" means that Keras alone, without kerastudy's
    compiled trainer, gives the same bits. If a HyperModel overrides `fit`, its `fit` trains.
    """
    history, progress = study.history, study.progress
    trial = history.chosen if number is None else history.trial(number)
    name = history.description.name
    if trial is None:
        raise StudyNotFoundError(f"The study {name!r} has no trial with a value to reproduce.")
    if trial.state == "interrupted":
        raise StudyNotFoundError(
            f"Trial {trial.number} of {name!r} is interrupted",
            hint="Launch the study again to finish it, then reproduce it.",
        )
    if not isinstance(trial, EndedTrial) or not _has_epochs(trial):
        raise StudyNotFoundError(
            f"Trial {trial.number} of {name!r} is {trial.state} and has no epochs to compare."
        )
    command = reproduce_command(history, trial.number)
    with study.executor(trial, command) as worker, tempfile.TemporaryDirectory() as folder:
        faults = history.checkpoint_faults(trial) if trial in history.kept else {}
        reruns = [Rerun(history, trial, training, progress) for training in trainings_of(trial)]
        progress.say(
            f"running trial {trial.number} of {name} again"
            + (f", {len(reruns)} times" if len(reruns) > 1 else "")
        )
        for rerun in reruns:
            spec = rerun.training.spec
            weights = Path(folder) / f"again-{spec.repeat}.weights.h5"
            rerun.run(worker, weights)
            if spec.repeat in faults:
                study.note(_restored(rerun, weights, faults[spec.repeat]))
        outcome = _compared(study, trial, reruns, worker)
        _record(study, trial, outcome, reruns)
        return outcome


def _record(
    study: RunnableStudy, trial: EndedTrial, outcome: Reproduction, reruns: Sequence[Rerun]
) -> None:
    """Records the outcome as the trial's `verified` text."""
    day = time.strftime("%Y-%m-%d")
    causes = [note for note in outcome.notes if note.endswith(AS_IT_IS)]
    causes += outcome.environment_differences
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
        study.progress.say(
            f"warning: trial {trial.number} no longer counts, as model.fit contradicts it; launch "
            "the study again to choose its champion"
        )
    try:
        record_verified(study.history, trial, text)
        export_later(study.history.folder)
    except Exception as error:
        study.progress.say(f"warning: this outcome is not recorded, or not sent to MLflow: {error}")


def _has_epochs(trial: EndedTrial) -> bool:
    """Returns whether a trial has epochs to compare.

    A pruned trial with repeats, or with an objective function, has epochs even if it has no value.
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
    study: RunnableStudy, trial: EndedTrial, reruns: Sequence[Rerun], worker: AnyExecutor
) -> Reproduction:
    """Compares the reruns with the record, and notes the differences."""
    epochs = sum(len(rerun.recorded.keys() & rerun.epochs.keys()) for rerun in reruns)
    identical = all(
        rerun.same_weights and not rerun.difference and _same_metrics(rerun.recorded, rerun.epochs)
        for rerun in reruns
    )
    for rerun in reruns:
        assert rerun.result is not None, "nothing stops it"
        if rerun.difference:
            study.note(f"first difference: {rerun.difference}")
        if rerun.result.reason not in trial.result.reason:
            study.note(f"the trial now ends as {rerun.result.state}: {rerun.result.reason}")
    best = reruns[trial.result.best_repeat].result
    assert best is not None, "nothing stops it"
    return Reproduction(
        study=study.history.description.name,
        trial=trial.number,
        identical=identical,
        epochs=epochs,
        recorded_sha256=best_training_of(trial).result.weights_sha256,
        reproduced_sha256=best.weights_sha256,
        environment_differences=tuple(
            environment_differences(trial.environment, worker.environment)
        ),
        notes=tuple(study.notes),
        trainer=best.trainer,
    )


def _same_metrics(
    first: Mapping[int, Mapping[str, float]], second: Mapping[int, Mapping[str, float]]
) -> bool:
    """Returns whether two trainings have the same metrics in all epochs.

    Values that are not finite are not compared, as the record leaves them out.
    """
    one, other = (
        {(n, name): v for n, epoch in epochs.items() for name, v in epoch.items() if isfinite(v)}
        for epochs in (first, second)
    )
    return one == other


def trainer_in_words(name: str) -> str:
    """Returns a value of `TrialResult.trainer` in words, such as ``model.fit`` for ``plain``."""
    return {
        "plain": "model.fit",
        "hypermodel": "the HyperModel's own fit",
        "objective": "the objective function itself",
    }.get(name, name or "an unknown trainer")
