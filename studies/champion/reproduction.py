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
from studies.champion.recorded import AS_IT_IS, AnyExecutor, recorded_executor
from studies.champion.reruns import Rerun, trainings_of, unsound_checkpoints
from studies.definition import StudyDefinition
from studies.progress import NoProgress, Progress, showing
from studies.results.models import existing_store
from studies.training import environment_differences
from tracking.history.champions import record_verified
from tracking.history.study_history import StudyHistory, read_study
from tracking.mlflow.exporter_process import export_later
from tracking.records import EndedTrial, TrainerName
from tracking.records.verification_texts import differing, is_known, not_reproduced, reproduced


@dataclass(frozen=True)
class Reproduction:
    """The outcome of running a trial again.

    Attributes:
        study: The study's name.
        trial: The trial's number.
        identical: Whether every metric of every epoch and the weights' digest are the same.
        epochs: The number of epochs that were compared.
        max_difference: The largest absolute difference of a metric; None if nothing was compared.
            It is infinite if one run has a metric or an epoch that the other lacks.
        recorded_sha256: Digest of the recorded weights of the best epoch.
        reproduced_sha256: Digest of the new weights after that epoch; empty if it was not reached.
        environment_differences: What differs in versions and machine, in words.
        notes: Further messages, such as that the code has changed.
        engine: The engine that proposed the trial.
        trainer: The trainer of the new run: "plain" (`model.fit`), "compiled", "hypermodel" (a
            HyperModel's own fit), or "objective" (an objective function). It is empty if nothing
            was run.
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

    `trainer` trains the trial; None is the study's trainer. The default is plain `model.fit`: then
    "identical" means that Keras alone gives these bits. A HyperModel's own `fit` always trains its
    trials.
    """
    progress = progress or NoProgress()
    trial = history.best if number is None else history.trial(number)
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
    with recorded_executor(history, trial, study=study, data=data, progress=progress) as (
        worker,
        notes,
    ):
        # Only these notes say that the code may not be the trial's own.
        changed = [note for note in notes if note.endswith(AS_IT_IS)]
        now = worker.description.data.digest
        if now != trial.spec.data_digest:
            notes.append(
                "the data has changed: its digest was "
                f"{trial.spec.data_digest[:16]}… and is {now[:16]}…, so nothing was run"
            )
            progress.say(notes[-1])
            return _compared(history, trial, [], worker, notes)
        unsound = dict(unsound_checkpoints(history, trial)) if trial in history.kept else {}
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
                written = Path(folder) / f"again-{spec.repeat}.weights.h5"
                rerun.run(worker, written, trainer)
                if spec.repeat in unsound:
                    notes.append(_put_back(rerun, written, unsound[spec.repeat]))
                    progress.say(notes[-1])
        said = len(notes)
        compared = _compared(history, trial, reruns, worker, notes)
        for note in notes[said:]:
            progress.say(note)
        _record(history, trial, compared, reruns, changed, progress)
        return compared


def _record(
    history: StudyHistory,
    trial: EndedTrial,
    outcome: Reproduction,
    reruns: Sequence[Rerun],
    changed: Sequence[str],
    progress: Progress,
) -> None:
    """Records the outcome as the trial's `verified` text."""
    day = time.strftime("%Y-%m-%d")
    others = [*changed, *outcome.environment_differences]
    others += ["its data is another" for rerun in reruns if rerun.other_data]
    differences = (rerun.difference for rerun in reruns if rerun.difference)
    why = next(differences, "the weights of its best epoch differ")
    if outcome.trainer == "compiled":
        # An outcome of the compiled trainer is no comparison with plain Keras.
        return
    if outcome.identical:
        text = reproduced(trainer_in_words(outcome.trainer), outcome.epochs, day)
    elif others and is_known(trial.verified):
        # This run had other code, data or versions, so an earlier comparison stays.
        return
    elif others or trial.result.trainer != "compiled":
        text = not_reproduced("; but ".join([why, *others[:1]]), day)
    else:
        text = differing(why)
        progress.say(
            f"warning: trial {trial.number} no longer counts, as model.fit contradicts it; launch "
            "the study again to choose its champion"
        )
    try:
        record_verified(history, trial, text)
        export_later(history.folder)
    except Exception as error:
        progress.say(f"warning: this outcome is not recorded, or not shown: {error}")


def reproduce_study(
    study: StudyDefinition,
    number: int | None,
    *,
    store: str | Path | None,
    engine: str | None,
    trainer: TrainerName,
    progress: bool,
) -> Reproduction:
    """Trains a trial again by a study object of this process."""
    with showing(progress) as shown:
        history = read_study(existing_store(store), study.name, engine)
        return reproduce(history, number, study=study, trainer=trainer, progress=shown)


def _has_epochs(trial: EndedTrial) -> bool:
    """Returns whether a trial has epochs to compare. A pruned trial may have some, but no value."""
    by_itself = trial.result.trainer == "objective"
    pruned = trial.state == "pruned" and (bool(trial.result.repeats) or by_itself)
    return trial.best is not None or pruned


def _put_back(rerun: Rerun, written: Path, fault: str) -> str:
    """Restores a lost checkpoint if the weights are the same; returns a note on the outcome."""
    was = f"the checkpoint of trial {rerun.training.spec.number} could not be used ({fault})"
    try:
        path = rerun.put_back(written)
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
    epochs, differences, same = 0, [], bool(reruns)
    for rerun in reruns:
        epochs += len(rerun.recorded.keys() & rerun.epochs.keys())
        differences.append(max_difference(rerun.recorded, rerun.epochs))
        assert rerun.result is not None
        same = same and rerun.result.weights_sha256 == rerun.training.weights_sha256
        if rerun.difference:
            notes.append(f"first difference: {rerun.difference}")
        if rerun.other_data:
            same = False
            drawn = ", or is drawn without a seed" if trial.result.trainer == "objective" else ""
            notes.append(
                f"the data of the trial has changed{drawn}: its digest was "
                f"{trial.data_digest[:16]}… and is {rerun.result.data_digest[:16]}…"
            )
        if rerun.result.reason not in trial.result.reason:
            notes.append(f"the trial now ends as {rerun.result.state}: {rerun.result.reason}")
    identical = same and max(differences) == 0.0
    if reruns and not identical:
        streams = worker.description.data.details.get("streams") or {}
        changing = [part for part, stream in streams.items() if not stream["same_each_time"]]
        if changing:
            notes.append(f"not the same each time that it is read: {' and '.join(changing)} data")
    best = reruns[trial.result.best_repeat].result if reruns else None
    return Reproduction(
        study=history.description.name,
        trial=trial.number,
        identical=identical,
        epochs=epochs,
        max_difference=max(differences) if differences else None,
        recorded_sha256=trainings_of(trial)[trial.result.best_repeat].weights_sha256,
        reproduced_sha256=best.weights_sha256 if best is not None else "",
        environment_differences=tuple(
            environment_differences(trial.environment, worker.environment)
        ),
        notes=tuple(notes),
        trainer=best.trainer if best is not None else "",
        engine=history.description.engine,
    )


def max_difference(
    first: Mapping[int, Mapping[str, float]], second: Mapping[int, Mapping[str, float]]
) -> float:
    """Returns the largest absolute difference of a metric between two trainings.

    It is infinite if one training lacks an epoch or a metric of the other. Metrics that are not
    finite are not compared, as they are not recorded.
    """
    largest = 0.0
    for epoch in first.keys() | second.keys():
        one, other = _finite(first.get(epoch)), _finite(second.get(epoch))
        if one is None and other is None:
            continue
        if one is None or other is None or one.keys() != other.keys():
            return math.inf
        largest = max([largest, *(abs(one[name] - other[name]) for name in one)])
    return largest


def _finite(metrics: Mapping[str, float] | None) -> dict[str, float] | None:
    finite = {name: value for name, value in (metrics or {}).items() if math.isfinite(value)}
    # The record leaves out an epoch without finite metrics, so it counts as missing.
    return finite or None


def trainer_in_words(name: str) -> str:
    """Returns the name of a trial's trainer, a `TrialResult.trainer`, for people to read."""
    return {
        "plain": "model.fit",
        "compiled": "the compiled trainer",
        "hypermodel": "the HyperModel's own fit",
        "objective": "the objective function itself",
    }.get(name, name or "an unknown trainer")
