"""The driver of a study: begins its trials as jobs, and records their epochs and results.

`run_jobs` calls the driver: `next_job` for a new trial, `on_epoch` and `on_result` for the epochs
and results that an executor reports. The driver asks the engine through `Proposals`. It records a
trial in the journal before the trial trains, and the trial's result after the checkpoint is
written. So if the process is killed at any point, the next launch can resume the study.

`Running` combines the results of a trial's repeats or folds.
"""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from search_spaces.errors import WorkerError
from search_spaces.texts import duration, quoted
from studies.definition import spec_of, trial_seed
from studies.engines import Curve, Engine
from studies.executors import Executor, Job, Jobs, result_of_lost, run_jobs
from studies.launching.launch_checks_lock_and_journal import most_epochs
from studies.launching.proposals_and_stopping import INTERRUPTED, Ending, FirstTrials, Proposals
from studies.progress import Progress
from tracking.history import common_best, mean_metrics, mean_so_far, pruner_step
from tracking.journal import Journal, JournalReader
from tracking.records import (
    FINISHED_STATES,
    BestEpoch,
    Decision,
    EndedTrial,
    EpochResult,
    Objective,
    Proposal,
    Repeat,
    StudyDescription,
    TrialRecord,
    TrialResult,
    TrialSpec,
    TrialTask,
    best_trial,
    finished_trials,
    training_name,
)
from tracking.store import Retention, files_of


class Driver(Jobs):
    """Runs a study until all its trials are done or its budget is spent. Each trial is a job.

    When the budget is spent, running trials are still finished. If `by_fit` is true, `model.fit`
    trains all trials.
    """

    def __init__(
        self,
        executor: Executor,
        make_engine: Callable[[], Engine],
        journal: Journal,
        recorded: Sequence[TrialRecord],
        curve: Curve,
        progress: Progress,
        by_fit: bool = False,
    ) -> None:
        super().__init__()
        self._by_fit = by_fit
        self._executor, self._journal, self._progress = executor, journal, progress
        self._description = description = journal.description
        self._files = files_of(journal.folder)
        self._trials = StudyTrials(recorded)
        for number, trial in self._trials.all.items():
            if number not in self._trials.finished:
                # An earlier launch began this trial, and did not finish it.
                self.queue.append(Job(number, partial(self._begin, number), losses=trial.losses))
        # The trials whose process has died since the last record, by number. The value, 1 or 0, is
        # added to the trial's `losses`. It is 0 if the process died because its machine went away.
        self._lost: dict[int, int] = {}
        # Results that are not in the journal yet.
        self._results: list[TrialResult] = []
        # The trials whose present fit was ended by the study's `trial_timeout`.
        self._out_of_time: set[int] = set()
        self._first_trials = FirstTrials(description, recorded)
        self._proposals = Proposals(make_engine, curve, description, self._trials)
        self._best = best_trial(self._trials.finished.values(), description.objective)
        self._told_defaulted = any(t.result.defaulted for t in self._trials.finished.values())
        self._retention = Retention(self._files, description, self._trials.finished.values())

    def run(self) -> Ending:
        """Runs trials; returns why the launch ended."""
        # An earlier launch may have left too many checkpoints, if it was killed or had a higher
        # --keep.
        self._retention.tidy()
        finished = len(self._trials.finished)
        self._progress.begin(
            self._description, finished, self._description.trials, self._best_value()
        )
        try:
            run_jobs(self._executor, self, self._progress)
            self._proposals.tell_all()
        except BaseException:
            # The running trials are recorded as interrupted. If this can't be recorded now, the
            # next launch records it.
            with contextlib.suppress(Exception):
                self._journal.settle()
                self._journal.end_left_over()
            raise
        return self._why_it_ended()

    def on_epoch(self, epoch: EpochResult) -> Decision:
        """Records an epoch; returns whether the fit and the trial continue."""
        running, description = self._trials.running[epoch.number], self._description
        prune = self._take_epoch(running, epoch)
        another = epoch.repeat + 1 < len(running.fits)
        # An objective function decides itself how many epochs it trains, so its last epoch is
        # unknown.
        last = epoch.epoch >= running.trial.spec.epochs and not description.objective_function
        if last and not another:
            return "continue"
        if self.stopping:
            return "stop"
        if last:
            # Pruning after a fold's last epoch skips the trial's other folds.
            return "prune" if prune and description.folds else "continue"
        if prune:
            return "prune"
        limit = description.trial_timeout
        if limit is not None and epoch.seconds >= limit:
            self._out_of_time.add(epoch.number)
            # The time limit ends only this fold; the trial's other folds still train.
            return "end" if description.folds else "prune"
        return "continue"

    def on_result(self, result: TrialResult) -> None:
        """Handles a fit's result. Begins the trial's next fit, if there is one.

        If the trial has ended, `_take_results` records the result later.
        """
        if result.number in self._out_of_time:
            self._out_of_time.remove(result.number)
            limit = self._description.trial_timeout or 0.0
            result = replace(result, reason=f"its time of {duration(limit)} was up")
        running = self._trials.running[result.number]
        if result.state != "complete" or result.repeat + 1 == len(running.fits):
            self._results.append(result)
            return
        with self._journal.together():
            self._end_fit(running, result)
            self._begin_fit(running)

    def _take_results(self) -> None:
        """Records the epochs, the results and the deaths of processes since the last call."""
        results, self._results = self._results, []
        if results:
            with self._journal.together():
                ended = [
                    self._end(self._trials.running[result.number], result) for result in results
                ]
            for trial in ended:
                self._follow(trial)
            self._first_trials.check()
        lost, self._lost = self._lost, {}
        if lost:
            with self._journal.together():
                for number, losses in lost.items():
                    lost_trial = self._trials.lose(number, losses)
                    self._journal.lose_trial(lost_trial.uuid, lost_trial.losses)
        self._journal.flush()

    def on_lost(self, spec: TrialSpec, error: WorkerError, why: str) -> TrialResult | None:
        """Handles a trial whose process died, as `Jobs.on_lost` describes."""
        if self.stopped:
            # The stop itself may have ended the process: stopping a systemd service, for example,
            # also signals the worker processes.
            return result_of_lost(spec, f"stopped: {error}", "interrupted")
        if not why:
            self._lost[spec.number] = int(not error.machine_gone)
        return None

    def _follow(self, trial: EndedTrial) -> None:
        """Tells the engine, the removal of files and the progress display that a trial ended."""
        self._trials.end(trial)
        if trial.state == "interrupted":
            self._progress.trial_ended(trial.result, None)
            return
        self._first_trials.take(trial)
        if trial.result.defaulted and not self._told_defaulted:
            self._told_defaulted = True
            self._progress.say(_of_defaulted(trial))
        self._retention.add(trial)
        self._proposals.take(trial)
        self._best = best_trial([self._best, trial], self._description.objective)
        self._progress.trial_ended(trial.result, self._best_value())

    def _best_value(self) -> tuple[int, float] | None:
        best = self._best
        return None if best is None or best.best is None else (best.number, best.best.value)

    @contextlib.contextmanager
    def taking(self) -> Iterator[None]:
        """Returns a context for events.

        When the context ends, its events are recorded, the engine gets the results, and files
        that are not needed any more are removed.
        """
        try:
            yield
        finally:
            self._take_results()
        self._proposals.tell_all()
        self._retention.tidy()

    @property
    def waits(self) -> bool:
        """Whether there may be trials to begin, or to train again."""
        begun = len(self._trials.all) >= self._description.trials or self._proposals.exhausted
        return super().waits or not (begun or self._proposals.spent())

    def _why_it_ended(self) -> Ending:
        total, begun = self._description.trials, len(self._trials.all)
        finished, early = len(self._trials.finished), self._proposals.ending
        exhausted = self._proposals.exhausted
        done = finished >= total or exhausted or early is not None
        # If nothing was left to do when the user stopped the launch, the stop is not the reason.
        if self.stopped and (finished < begun or not done):
            return INTERRUPTED
        if finished >= total:
            return Ending("trials", f"all {total} trials are done")
        if exhausted:
            return Ending("space", f"all {finished} configurations of the space were tried")
        assert early is not None, "trials are left"
        return early

    def together(self) -> contextlib.AbstractContextManager[object]:
        """Returns a context. All trials that begin in it are recorded in one transaction."""
        return self._journal.together()

    def next_job(self) -> Job | None:
        """Returns a trial that an earlier launch left unfinished, else a new trial, else None."""
        if self.queue or not self.waits:
            return super().next_job()
        proposal = self._proposals.ask()
        if proposal is None:
            return None
        return Job(proposal.number, partial(self._begin, proposal.number, proposal))

    def _begin(self, number: int, proposal: Proposal | None = None) -> Iterator[TrialTask]:
        """Records that an attempt at a trial begins. Only the first attempt needs a `proposal`."""
        before, losses = self._trials.all.get(number), 0
        if before is not None:
            hardware, losses = self._description.hardware, before.losses
            spec = replace(before.spec, attempt=before.spec.attempt + 1, hardware=hardware)
            proposal = Proposal(number, spec.values, before.engine_state)
        else:
            assert proposal is not None, "it is new"
            spec = spec_of(proposal, self._description)
        environment = self._executor.environment
        trial = TrialRecord(
            uuid=self._journal.begin_trial(spec, proposal, environment, losses),
            spec=spec,
            state="running",
            result=None,
            engine_state=proposal.state,
            environment=environment,
            code_digest=self._description.code.digest,
            started=0,
            losses=losses,
        )
        running = self._trials.begin(trial, self._fits(spec))
        if before is not None and len(running.fits) > 1:
            self._take_over(running, before)
        self._begin_fit(running)
        return self._tasks(running)

    def _tasks(self, running: Running) -> Iterator[TrialTask]:
        """Yields a task for each fit that has not ended."""
        files, description = self._files, self._description
        # A trial with several fits is ranked only after its last fit. Before that, `last_kept`
        # can't tell whether the checkpoint of a fit will be kept.
        last_kept = self._retention.last_kept() if description.trainings == 1 else None
        for spec in running.fits[len(running.results) :]:
            number, repeat = spec.number, spec.repeat
            yield TrialTask(
                spec,
                description.space,
                files.checkpoint(number, repeat),
                files.state(number, repeat),
                self._by_fit,
                last_kept,
                files.scores(number, repeat),
                # The best epoch over all folds is not known yet, so each epoch's scores are kept.
                "best" if spec.fold is None else "every",
            )

    def _fits(self, spec: TrialSpec) -> list[TrialSpec]:
        """Returns the fits of a trial: one, or one for each repeat or fold."""
        description = self._description
        if description.trainings == 1:
            return [spec]
        return [
            replace(
                spec,
                repeat=repeat,
                seed=trial_seed(description.seed, spec.number, repeat),
                fold=repeat if description.folds else None,
            )
            for repeat in range(description.trainings)
        ]

    def _take_over(self, running: Running, before: TrialRecord) -> None:
        """Reuses the results of fits that an earlier attempt has completed with the same code."""
        if before.code_digest != running.trial.code_digest:
            return
        journal = JournalReader(self._journal.folder)
        former = {fit.spec.repeat: fit for fit in journal.fits(before.uuid)}
        curves = journal.curves([before.uuid])
        # The last fit is always run again, as its result ends the trial.
        for fit in running.fits[:-1]:
            ended = former.get(fit.repeat)
            if ended is None or ended.result is None or ended.state != "complete":
                return
            if replace(ended.spec, attempt=fit.attempt) != fit:
                return
            self._begin_fit(running)
            for epoch, metrics in curves.get(ended.uuid, {}).items():
                self._take_epoch(running, EpochResult(fit.number, epoch, metrics, 0.0, fit.repeat))
            self._end_fit(running, ended.result)

    def _begin_fit(self, running: Running) -> None:
        spec = running.fits[len(running.results)]
        only = len(running.fits) == 1
        running.uuids.append(self._journal.begin_fit(running.trial.uuid, spec, only=only))

    def _take_epoch(self, running: Running, epoch: EpochResult) -> bool:
        """Records an epoch; returns whether the pruner ends the trial after it."""
        self._journal.log_epoch(running.uuids[epoch.repeat], epoch)
        running.take_epoch(epoch)
        return self._proposals.prunes(running, epoch)

    def _end_fit(self, running: Running, result: TrialResult) -> None:
        """Records the result of a fit, if its trial has several fits."""
        self._journal.end_fit(running.uuids[result.repeat], result)
        running.results.append(result)

    def _end(self, running: Running, result: TrialResult) -> EndedTrial:
        """Records the result of a trial, whose last fit has the result `result`."""
        if len(running.fits) > 1:
            self._end_fit(running, result)
            result = running.combined(self._description)
        self._journal.end_trial(running.trial.uuid, result)
        return running.trial.with_result(result)


def _of_defaulted(trial: EndedTrial) -> str:
    names = trial.result.defaulted
    it, its = ("it", "its") if len(names) == 1 else ("them", "their")
    return (
        f"warning: trial {trial.number} declared {quoted(names)}, which tracing had not found, and "
        f"used {its} default. To tune {it}, declare {it} in the study's space."
    )


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
