"""The loop that ties engine, executor and tracking together.

It alone writes the journal and, by `search`, talks to the engine. What must not be lost is written
in this order: the trial before it trains; its checkpoint when it has ended; its result. A
process killed in between leaves a study that the next launch resumes.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import replace

from search_spaces.errors import WorkerError
from studies.engines.engine import Curve
from studies.executors.executor import Executor
from studies.progress import Progress
from studies.running.budget import AtTheEnd, AwakeClock, Ending, TimeLimit, why_it_ended
from studies.running.proposals import EngineOf, spec_of, task_of
from studies.running.retention import Retention
from studies.running.running_trial import Running
from studies.running.search import Search
from studies.running.study_trials import FirstTrials, StudyTrials, ValidationParts
from studies.running.trial_runs import TrialRuns
from tracking.history.trials import best_trial
from tracking.journal import Journal
from tracking.records import (
    Decision,
    EndedTrial,
    EpochResult,
    Proposal,
    StudyDescription,
    TrainerName,
    TrialRecord,
    TrialResult,
    TrialSpec,
)
from tracking.store.files import files_of

# A trial whose process ends by itself so often is the cause.
_ATTEMPTS = 3
# While nothing runs, stops and the end of the study's time are checked at this interval.
_SECONDS_TO_NOTICE = 0.5
# Trials proposed within this time begin with one commit. A slower engine delays neither trials nor
# the database.
_SECONDS_TOGETHER = 0.02


class Driver:
    """Runs a study until it has its trials, or its budget is spent; the executor's `Handler`.

    When the budget is spent, running trials are finished or cut, as `at_the_end` says. Without a
    `trainer` the study's trains the trials.
    """

    def __init__(
        self,
        executor: Executor,
        engine_of: EngineOf,
        journal: Journal,
        recorded: Sequence[TrialRecord],
        curve: Curve,
        progress: Progress,
        at_the_end: AtTheEnd = "finish",
        trainer: TrainerName | None = None,
    ) -> None:
        self._trainer = trainer
        self._executor, self._journal, self._progress = executor, journal, progress
        self._at_the_end = at_the_end
        description = journal.description
        self._files = files_of(journal.folder, description.engine)
        self._trials = StudyTrials(recorded)
        # Running trials whose process died.
        self._lost: dict[int, WorkerError] = {}
        # Results that are not in the record yet.
        self._results: list[TrialResult] = []
        self._clock = AwakeClock()
        self._time_limit = TimeLimit(description.trial_timeout, self._clock)
        self._first_trials = FirstTrials(description, recorded)
        self._validated_on = ValidationParts(recorded)
        self._stopping = False
        self._search = Search(engine_of, curve, journal, self._trials, self._clock, progress.say)
        self._trial_runs = TrialRuns(journal, self._trials, self._search)
        self._shown = best_trial(self._trials.finished.values(), description.objective)
        self._retention = Retention(self._files, description, self._trials.finished.values())

    def run(self) -> Ending:
        """Runs trials; returns why it ended."""
        # A kill may have left superseded checkpoints; --keep may be less.
        self._retention.tidy(self._search.engine)
        finished = len(self._trials.finished)
        self._progress.begin(
            self._description, finished, self._description.trials, self._best_shown()
        )
        try:
            with self._clock:
                self._submit()
                while self._trials.running or self._waits_for_a_worker():
                    self._wait()
                    self._search.step()
                    self._retention.tidy(self._search.engine)
                    self._look_at_times()
                    self._submit()
            self._search.tell_all()
        except BaseException:
            # The next launch ends trials that can't be ended now.
            with contextlib.suppress(Exception):
                self._journal.settle()
                self._journal.end_left_over()
            raise
        return self._why_it_ended()

    def stop(self) -> None:
        """Makes running trials end after their present epoch, and starts no more."""
        self._stopping = True

    @property
    def _description(self) -> StudyDescription:
        """The study, with its present space."""
        return self._search.description

    def on_epoch(self, epoch: EpochResult) -> Decision:
        """Takes an epoch; returns whether the fit, or its trial, continues."""
        running, description = self._trials.running[epoch.number], self._description
        self._progress.epoch_ended(epoch)
        prune = self._trial_runs.take_epoch(running, epoch, self._clock.seconds)
        another = epoch.repeat + 1 < len(running.fits)
        # Only an objective function itself knows its last epoch.
        last = epoch.epoch >= running.trial.spec.epochs and not description.objective_function
        if last and not another:
            return "continue"
        if self._cuts():
            return "stop"
        if last:
            # The fit has ended; the trial's other folds may be left out.
            return "prune" if prune and description.folds else "continue"
        if prune:
            return "prune"
        if self._time_limit.cuts(running):
            # Other folds follow one that is cut.
            return "end" if description.folds else "prune"
        return "continue"

    def on_result(self, result: TrialResult) -> None:
        """Takes a fit's result. A trial's last is recorded together with others' last."""
        cut = self._time_limit.reason(result.number)
        if cut and result.state in ("complete", "pruned"):
            result = replace(result, reason=cut)
        running = self._trials.running[result.number]
        if result.state != "complete" or result.repeat + 1 == len(running.fits):
            self._results.append(result)
            return
        with self._journal.together():
            self._trial_runs.end_fit(running, result, self._clock.seconds)

    def _take_results(self) -> None:
        """Records new epochs and results, together, and acts on them."""
        results, self._results = self._results, []
        if results:
            with self._journal.together():
                ended = [
                    self._trial_runs.end(self._trials.running[result.number], result)
                    for result in results
                ]
            for trial in ended:
                self._follow(trial)
            self._first_trials.check()
        lost, self._lost = self._lost, {}
        if lost:
            with self._journal.together():
                for number, error in lost.items():
                    self._lose(number, error)
        self._journal.flush()

    def on_lost(self, spec: TrialSpec, error: WorkerError) -> None:
        """Takes a trial whose process ended by itself, to train it again."""
        number, reason = spec.number, str(error)
        if self._time_limit.has_cut(number):
            reason = self._time_limit.reason(number)
            self.on_result(TrialResult(number, "infeasible", reason=reason, repeat=spec.repeat))
            return
        if self._stopping:
            # Stopping a whole session or service signals the workers too.
            reason = f"stopped: {reason}"
            self.on_result(TrialResult(number, "interrupted", reason=reason, repeat=spec.repeat))
            return
        was_alone = self._trials.was_alone(number)
        # A trial that loses its machine again and again is not the cause.
        losses = self._trials.running[number].trial.losses + (not error.machine_gone)
        if losses < _ATTEMPTS and not (error.out_of_memory and was_alone):
            how = "; it is tried once more, alone" if error.out_of_memory else ""
            self._progress.say(f"trial {number}: {reason}{how}")
            self._lost[number] = error
            return
        self._progress.say(f"trial {number}: {reason}")
        if was_alone:
            reason = f"{reason}, with no other trial running"
        else:
            reason = f"{_ATTEMPTS} attempts, and in each {reason}"
        self.on_result(TrialResult(number, "infeasible", reason=reason, repeat=spec.repeat))

    def _lose(self, number: int, error: WorkerError) -> None:
        """Ends an attempt at a trial whose process died; it is trained again."""
        self._progress.trial_gone(number)
        losses = int(not error.machine_gone)
        running = self._trials.lose(number, alone=error.out_of_memory, losses=losses)
        self._trial_runs.lose(running, losses)

    def _follow(self, trial: EndedTrial) -> None:
        """Takes a trial that has ended, and is in the record."""
        self._trials.end(trial)
        if trial.state == "interrupted":
            self._progress.trial_ended(trial.result, None)
            return
        self._first_trials.take(trial)
        if warning := self._validated_on.take(trial):
            self._progress.say(warning)
        self._retention.add(trial)
        if line := self._retention.told():
            self._progress.say(line)
        self._search.take(trial)
        self._shown = best_trial([self._shown, trial], self._description.objective)
        self._progress.trial_ended(trial.result, self._best_shown())

    def _best_shown(self) -> tuple[int, float] | None:
        """Returns the number and the value of the best trial so far."""
        best = self._shown
        return None if best is None or best.best is None else (best.number, best.best.value)

    def _wait(self) -> None:
        """Makes the executor work; for a short time if no trial runs, to notice a stop."""
        idle = not self._trials.running
        seconds = _SECONDS_TO_NOTICE if idle else self._time_limit.seconds_to_wait
        try:
            self._executor.wait(self, seconds)
        except WorkerError:
            # The signal that stops this process may end a loading worker.
            if not (idle and self._stopping):
                raise
        finally:
            self._take_results()

    def _look_at_times(self) -> None:
        """Ends trainings that hang."""
        for spec in self._executor.delayed:
            self._trials.running[spec.number].delay(self._clock.seconds)
        for number in self._time_limit.hanging(self._trials.running.values()):
            if self._executor.cut(number):
                self._time_limit.was_cut(number)

    def _cuts(self) -> bool:
        """Returns whether running trials must end after their present epoch."""
        return self._stopping or (self._at_the_end == "cut" and self._search.spent())

    def _waits_for_a_worker(self) -> bool:
        """Returns whether trials are left, but all workers are being replaced."""
        if self._executor.free or self._cuts():
            return False
        begun = len(self._trials.all) >= self._description.trials or self._search.exhausted
        return bool(self._trials.again) or not (begun or self._search.spent())

    def _why_it_ended(self) -> Ending:
        return why_it_ended(
            total=self._description.trials,
            finished=len(self._trials.finished),
            begun=len(self._trials.all),
            exhausted=self._search.exhausted,
            early=self._search.ending,
            stopped=self._stopping,
        )

    def _submit(self) -> None:
        """Begins trials for free workers. Their runs exist before any of them trains."""
        while self._submit_together():
            pass

    def _submit_together(self) -> bool:
        """Begins the trials that are found soon, together; returns whether there may be more."""
        begun: list[Running] = []
        ends = time.monotonic() + _SECONDS_TOGETHER
        with self._journal.together():
            while more := len(begun) < self._executor.free and not self._stopping:
                running = self._begin_next()
                if running is None:
                    more = False
                    break
                begun.append(running)
                if time.monotonic() > ends:
                    break
        for running in begun:
            running.delay(self._clock.seconds)
            last_kept = self._retention.last_kept(running.trial.known)
            self._executor.submit(
                *(
                    task_of(fit, self._description, self._files, self._trainer, last_kept)
                    for fit in running.fits
                )
            )
        return more

    def _begin_next(self) -> Running | None:
        """Begins a trial that was cut, or the next one; None if there is none to begin."""
        losses = 0
        spent = self._search.spent() and not self._trials.again
        if self._cuts() or spent or self._trials.keep_free:
            return None
        if self._trials.again:
            before = self._trials.again.popleft()
            spec = replace(
                before.spec,
                attempt=before.spec.attempt + 1,
                hardware=self._description.hardware,
            )
            proposal = Proposal(before.number, spec.values, before.engine_state, known=before.known)
            losses = before.losses
        elif len(self._trials.all) < self._description.trials and not self._search.exhausted:
            asked = self._search.ask()
            if asked is None:
                return None
            proposal, spec = asked, spec_of(asked, self._description, self._trials.finished)
        else:
            return None
        running = self._trial_runs.begin(
            spec, proposal, self._executor.environment, losses, self._clock.seconds
        )
        self._progress.trial_begins(spec)
        return running
