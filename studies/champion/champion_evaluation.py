"""`kerastudy evaluate`: evaluates a trial's checkpoint on the sealed test part."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from search_spaces import SearchSpace
from search_spaces.errors import NoTestPartError, StudyError
from search_spaces.texts import share
from studies.champion.choice_and_promotion import champion_or
from studies.champion.runnable_recorded_study import RunnableStudy, in_worker, opened
from studies.champion.verification_and_retraining import weights_of
from studies.definition import StudyDefinition, no_data
from tracking.history import evaluations_on, looked_at, record_evaluation
from tracking.mlflow import export_later
from tracking.records import Evaluation, Measured, TrialSpec
from tracking.shell_commands import study_command
from tracking.statistics import level_of_reading

if TYPE_CHECKING:
    from studies.executors import Session
    from studies.training import Scores


@dataclass(frozen=True)
class Reading:
    """An evaluation on a test part, and the reasons why its values may be too good."""

    evaluation: Evaluation
    # Earlier evaluations on the same test part, by all studies of the store.
    earlier: Sequence[Evaluation]
    flaws: Sequence[str] = ()  # Sentences on grave faults of the study's data.

    @property
    def warning(self) -> str:
        """A warning if models were evaluated on the test part before, else an empty text."""
        return warning_of(self.earlier)


def warning_of(earlier: Sequence[Evaluation]) -> str:
    """Returns a warning that the test part was read before; empty if `earlier` is empty."""
    if not earlier:
        return ""
    last = earlier[-1]
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(last.time / 1000))
    times = "once" if len(earlier) == 1 else f"{len(earlier)} times"
    return (
        f"this test part was read {times} before, last by {last.study} trial {last.trial} on "
        f"{when}. If a value on it has influenced a choice, these values are too good to judge "
        f"the choice. The intervals are of {share(level_of_reading(len(earlier) + 1))} "
        "instead of 95 %."
    )


def evaluate(
    study: str | StudyDefinition,
    trial: int | None = None,
    *,
    store: str | Path | None = None,
    trust: bool = False,
    progress: bool = True,
) -> Evaluation:
    """Evaluates a study's champion, or another trial, on the sealed test part.

    `model.evaluate` runs in a new process, with the recorded code. Each evaluation is recorded.
    From the second evaluation on, a warning is shown: if you chose a trial by the values of the
    first evaluation, the same test samples can't judge this trial fairly. Its values would be too
    good.

    Args:
        study: The study's name, or the study itself if it was made in a notebook.
        trial: The number of a trial; None for the champion.
        store: The store's folder; default ``KERASTUDY_STORE`` or ``./kerastudy-store``.
        trust: Whether to run the code in a store that this user did not make.
        progress: Whether to show progress, and the warning, on standard error.

    Returns:
        The loss and the metrics on the test part, with intervals of 95 %. At the r-th evaluation on
        a test part, the level of the intervals is 1 - 0.05 / r, as with `confirm`. If the model
        gives probabilities of classes, ``reliability`` says how often they come true.

    Raises:
        NoTestPartError: If the data has no test part.
        TrackingError: If the store has no such study or trial.
        StudyError: If the study can't be loaded, or its data has changed.
    """
    with opened(study, store, trust=trust, progress=progress) as recorded:
        reading = read_test_part(recorded, trial)
        for warning in (*reading.flaws, *filter(None, [reading.warning])):
            recorded.progress.say(f"warning: {warning}")
        return reading.evaluation


def read_test_part(study: RunnableStudy, number: int | None = None) -> Reading:
    """Evaluates a trial's checkpoint on the test part, and records the evaluation."""
    history = study.history
    if history.description.objective_function:
        raise NoTestPartError(no_data(history.description.name))
    trial = champion_or(history, number)
    description = history.description
    if "test" not in description.data.digests:
        raise NoTestPartError(
            f"The data of the study {description.name!r} has no test part to evaluate on",
            hint="Give the data a test part in a new study, for example by test=0.2.",
        )
    earlier = evaluations_on(history.store, description.data.digests["test"])
    level = level_of_reading(len(earlier) + 1)
    command = study_command(history, "evaluate", trial=trial.number)
    with study.executor(trial, command) as worker, tempfile.TemporaryDirectory() as folder:
        weights, trial = weights_of(study, trial, worker, Path(folder))
        spec, best = trial.best_training
        study.progress.wait(f"reading the test part with trial {trial.number}, epoch {best.epoch}")
        scores = worker.ask(_evaluate_in_worker, spec, weights, description.space, level)
    metrics = {}
    for name, value in scores.scores.items():
        low, high = scores.intervals.get(name, (None, None))
        metrics[name] = Measured(value, low, high, best.metrics.get(f"val_{name}"))
    evaluation = Evaluation(
        study=description.name,
        trial=trial.number,
        epoch=best.epoch,
        samples=scores.samples,
        digest=scores.digest,
        metrics=metrics,
        note=scores.note,
        time=time.time_ns() // 1_000_000,
        level=level,
        guess=scores.guess,
        reliability=scores.reliability,
    )
    # The evaluation is recorded before anybody sees its values. So later evaluations warn of it,
    # even if this process is killed now.
    record_evaluation(history, evaluation)
    export_later(history.folder)
    looked = looked_at(history)
    return Reading(evaluation, earlier, () if looked is None else looked.problems)


def _evaluate_in_worker(
    session: Session, spec: TrialSpec, checkpoint: Path, space: SearchSpace, level: float
) -> Scores:
    from studies.training import evaluate_test_part, rebuilt

    with in_worker(f"The model of trial {spec.number} can't be evaluated on the test part"):
        splits = session.splits_of(spec.fold)
        model = rebuilt(session.study, space, splits, spec, checkpoint)
        if not model.compiled:
            raise StudyError(
                f"The model of trial {spec.number} is not compiled, so it has no metrics",
                hint="Compile it in the builder.",
            )
        return evaluate_test_part(model, splits, spec, level)
