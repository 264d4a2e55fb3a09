"""The running and ended trials of a launch, and the result of a trial with repeats or folds."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from search_spaces.errors import FailedAlikeError
from studies.launching.definition_checks import most_epochs
from tracking.history.learning_curves import common_best, mean_metrics, mean_so_far, pruner_step
from tracking.records import (
    FINISHED_STATES,
    BestEpoch,
    EndedTrial,
    EpochResult,
    Objective,
    Repeat,
    StudyDescription,
    TrialRecord,
    TrialResult,
    TrialSpec,
    finished_trials,
    training_name,
)


@dataclass
class Running:
    """A running trial, and the epochs and results of its fits."""

    trial: TrialRecord
    fits: Sequence[TrialSpec]  # One fit, or one for each repeat or fold.
    uuids: list[str] = field(default_factory=list)  # The uuids of the fits that have begun.
    results: list[TrialResult] = field(default_factory=list)  # The results of fits that have ended.
    epochs: list[EpochResult] = field(default_factory=list)  # The epochs of all fits.
    # The objective's values, by the fit's repeat and then by epoch.
    curves: dict[int, dict[int, float]] = field(default_factory=dict)

    def take_epoch(self, epoch: EpochResult) -> None:
        """Adds an epoch that has ended, and its value of the objective."""
        self.epochs.append(epoch)
        value = epoch.metrics.get(self.trial.spec.objective.metric)
        if value is not None:
            self.curves.setdefault(epoch.repeat, {})[epoch.epoch] = value

    def for_pruner(self, epoch: EpochResult, description: StudyDescription) -> EpochResult | None:
        """Returns an epoch as pruners see it, or None if pruners ignore it.

        With folds, pruners see the objective's mean at this epoch over the present fold and the
        folds before it. Otherwise, pruners see only the epochs of the first repeat.
        """
        if not description.folds:
            return epoch if epoch.repeat == 0 else None
        metric = self.trial.spec.objective.metric
        mean = mean_so_far(self.curves, epoch.repeat, epoch.epoch)
        if mean is None:
            return None
        step = pruner_step(epoch.repeat, epoch.epoch, most_epochs(description))
        return EpochResult(epoch.number, step, {metric: mean}, epoch.seconds)

    def combined(self, description: StudyDescription) -> TrialResult:
        """Returns the combined result of all repeats, or folds.

        With repeats, the value is the mean of their values. Each repeat has its value at its own
        best epoch, as with Keras Tuner's `executions_per_trial`. The trial has the best epoch and
        the checkpoint of the best repeat. If the last repeat is not complete, the trial has the
        state of that repeat. `_with_folds` combines folds.
        """
        results, folds, objective = self.results, description.folds, description.objective
        trained = zip(results, self.fits, self.uuids, strict=False)
        repeats = tuple(_repeat(*fit) for fit in trained if fit[0].best is not None)
        common = replace(
            results[-1],
            best=None,
            weights_sha256="",
            checkpoint_sha256="",
            unsaved="",
            repeat=0,
            epochs=max(r.epochs for r in results),
            reason="; ".join(
                f"in {training_name(r.repeat, folds)}: {r.reason}" for r in results if r.reason
            ),
            seconds=sum(r.seconds for r in results),
            defaulted={name: v for r in results for name, v in r.defaulted.items()},
            repeats=repeats,
            scores_bytes=sum(r.scores_bytes for r in results),
            unscored=next((r.unscored for r in results if r.unscored), ""),
        )
        if folds:
            return _with_folds(common, self.epochs, objective, folds)
        if common.state not in ("complete", "pruned") or not repeats:
            return common
        number = min(range(len(repeats)), key=lambda n: repeats[n].best.rank(objective, n))
        best = repeats[number]
        value = statistics.fmean(repeat.best.value for repeat in repeats)
        metrics = mean_metrics([repeat.best.metrics for repeat in repeats])
        return replace(
            common,
            best=BestEpoch(best.best.epoch, value, metrics),
            best_repeat=number,
            weights_sha256=best.weights_sha256,
            checkpoint_sha256=best.checkpoint_sha256,
            unsaved=best.unsaved,
        )


def _repeat(result: TrialResult, spec: TrialSpec, uuid: str) -> Repeat:
    assert result.best is not None, "it has a value"
    return Repeat(
        spec.seed,
        uuid,
        result.epochs,
        result.best,
        result.weights_sha256,
        result.seconds,
        result.checkpoint_sha256,
        result.unsaved,
        result.scores_bytes,
        result.unscored,
        fold=spec.fold,
    )


def _with_folds(
    common: TrialResult, epochs: Sequence[EpochResult], objective: Objective, folds: int
) -> TrialResult:
    """Returns a cross-validated trial's result. `common` is the result without a value.

    The trial's value is the objective's mean over all folds, at the epoch where this mean is best.
    An epoch does not count if a fold did not train it, or has no finite objective there. If folds
    are missing, the trial has no value: a mean over some folds can't be compared with other trials.
    """
    if common.state != "complete" or len(common.repeats) < folds:
        return common
    curves: list[dict[int, Mapping[str, float]]] = [{} for _ in range(folds)]
    for epoch in epochs:
        curves[epoch.repeat][epoch.epoch] = epoch.metrics
    best = common_best(curves, objective)
    if best is None:
        reason = f"no epoch of all {folds} folds has a finite {objective.metric}"
        return replace(common, state="infeasible", reason=common.reason or reason)
    values = [curve[best.epoch][objective.metric] for curve in curves]
    of_folds = [
        BestEpoch(best.epoch, v, c[best.epoch]) for v, c in zip(values, curves, strict=True)
    ]
    number = min(range(folds), key=lambda fold: of_folds[fold].rank(objective, fold))
    repeats = tuple(
        replace(fold, value=value) for fold, value in zip(common.repeats, values, strict=True)
    )
    return replace(
        common,
        best=best,
        repeats=repeats,
        best_repeat=number,
        weights_sha256=repeats[number].weights_sha256,
    )


# If the first trials of a launch all fail with the same error, the launch ends after this many.
_FIRST_TRIALS = 3


class StudyTrials:
    """The trials of a study, in three dicts by number: `all`, `finished` and `running`.

    `all` has each trial that has begun.
    """

    def __init__(self, recorded: Sequence[TrialRecord]) -> None:
        # For a running trial, this is the record that was made when the trial began.
        self.all = {trial.number: trial for trial in recorded}
        self.finished = {trial.number: trial for trial in finished_trials(recorded)}
        self.running: dict[int, Running] = {}

    def begin(self, trial: TrialRecord, fits: Sequence[TrialSpec]) -> Running:
        """Adds a trial that begins to run, with its fits."""
        running = Running(trial, fits)
        self.all[trial.number], self.running[trial.number] = trial, running
        return running

    def end(self, trial: EndedTrial) -> None:
        """Removes an ended trial from `running`. Adds it to `finished`, if it has finished."""
        del self.running[trial.number]
        if trial.state in FINISHED_STATES:
            self.all[trial.number] = self.finished[trial.number] = trial

    def lose(self, number: int, losses: int) -> TrialRecord:
        """Removes a trial whose process died from `running`; returns it with `losses` added."""
        trial = self.running.pop(number).trial
        self.all[number] = lost = replace(trial, losses=trial.losses + losses)
        return lost


class FirstTrials:
    """Ends a launch whose first trials all fail with the same error.

    The launch goes on if a recorded trial of the same code has a value.
    """

    def __init__(self, description: StudyDescription, recorded: Iterable[TrialRecord]) -> None:
        same = description.code.same_as
        self._name = description.name
        self._failed: list[str] = []
        self._wanted = min(_FIRST_TRIALS, description.trials)
        self._over = any(t.best is not None and same(t.code_digest) for t in recorded)

    def take(self, trial: EndedTrial) -> None:
        """Notes the error of an ended trial, or that it ended without an error."""
        raised = trial.result.raised
        self._over = self._over or not raised or any(raised != other for other in self._failed)
        self._failed.append(raised)

    def check(self) -> None:
        """Raises FailedAlikeError if enough trials have ended, and all failed alike."""
        if self._over or len(self._failed) < self._wanted:
            return
        count = len(self._failed)
        trials = f"first {count} trials" if count > 1 else "first trial"
        alike = " alike" if count > 1 else ""
        raise FailedAlikeError(
            f"The {trials} of {self._name!r} failed{alike}: {self._failed[0]}",
            hint="Correct the error, and launch with --retry-infeasible to train them again.",
        )
