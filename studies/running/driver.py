"""The loop that ties engine, executor and tracking together.

It alone talks to the engine and to MLflow. What must not be lost is written in this order: the
trial's run before it trains; its checkpoint when it has ended; its run's result; the engine's
copy. A process killed in between leaves a study that the next launch goes on with.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from search_spaces.space.completion import complete
from studies.definition.seeds import trial_seed
from studies.engines.engine import Curve
from studies.errors import WorkerError
from studies.executors.executor import Executor
from studies.progress import Progress
from studies.running.best_so_far import BestSoFar
from studies.running.budget import AtTheEnd, Ending, reached, why_it_ended
from studies.running.clock import AwakeClock
from studies.running.definitions import as_they_can_join
from studies.running.first_trials import FirstTrials
from studies.running.proposals import EngineOf, Proposals
from studies.running.retention import Retention
from studies.running.running_trial import Running
from studies.running.specs import spec_of, task_of
from studies.running.time_limit import TimeLimit
from studies.running.validation_parts import ValidationParts
from tracking.history.joining import completed, joined
from tracking.history.selection import best_trial
from tracking.history.study_history import epoch_metrics
from tracking.records import (
    FINISHED_STATES,
    Decision,
    EndedTrial,
    EpochResult,
    Proposal,
    TrainerName,
    TrialRecord,
    TrialResult,
    TrialSpec,
    TrialTask,
    finished_trials,
)
from tracking.runs.study_runs import StudyRuns

# A trial whose process ends by itself so often is what ends it.
_ATTEMPTS = 3
# While nothing runs, a stop and the end of the study's time are looked for so often.
_SECONDS_TO_NOTICE = 0.5
# Trials that are found within so long begin with one commit. While an engine thinks for longer, no
# trial is kept waiting, nor the database.
_SECONDS_TOGETHER = 0.02


class Driver:
    """Runs a study until it has its trials, or its budget is spent. A `Handler` of the executor's.

    Args:
        executor: Where trials run.
        engine_of: Makes what proposes them, for a space.
        runs: Where they are recorded.
        recorded: What the record has: trials by number.
        curve: Reads a recorded trial's objective by epoch.
        progress: What a person sees.
        at_the_end: What becomes of trials that run when the budget is spent.
        trainer: What trains the trials; None: what the study says.
    """

    def __init__(
        self,
        executor: Executor,
        engine_of: EngineOf,
        runs: StudyRuns,
        recorded: Sequence[TrialRecord],
        curve: Curve,
        progress: Progress,
        at_the_end: AtTheEnd = "finish",
        trainer: TrainerName | None = None,
    ) -> None:
        self._trainer = trainer
        self._executor, self._runs, self._progress = executor, runs, progress
        self._at_the_end = at_the_end
        self._description = description = runs.description
        self._trials = {trial.number: trial for trial in recorded}
        self._finished = {trial.number: trial for trial in finished_trials(recorded)}
        self._finished_before = frozenset(self._finished)
        self._again = deque(t for t in recorded if t.state not in FINISHED_STATES)
        self._running: dict[int, Running] = {}
        # Trials that ran out of memory beside others.
        self._alone: set[int] = set()
        self._repeats: deque[int] = deque()
        # What has come in, and is not in the record yet.
        self._results: list[TrialResult] = []
        self._clock = AwakeClock()
        self._time_limit = TimeLimit(description.trial_timeout, self._clock)
        self._first_trials = FirstTrials(description, recorded)
        self._validated_on = ValidationParts(recorded)
        self._stopping = False
        self._exhausted = False
        self._ending: Ending | None = None
        self._proposals = Proposals(
            engine_of, curve, description.lag, description.objective, self._on_told
        )
        self._proposals.begin(description.space, recorded)
        self._counted = self._proposals.told_of(self._finished)
        counted = [self._finished[number] for number in self._counted]
        self._best = BestSoFar(runs, counted)
        self._shown = best_trial(self._finished.values(), description.objective)
        self._retention = Retention(runs.files, description, self._finished.values())

    def run(self) -> Ending:
        """Runs trials; returns why it ended."""
        # A kill may have come between a checkpoint and what it supersedes; --keep may be less.
        self._retention.tidy(self._proposals.engine)
        self._best.complete()
        self._progress.begin(self._description, len(self._finished), self._description.trials)
        try:
            with self._clock:
                self._submit()
                while self._running or self._waits_for_a_worker():
                    self._wait()
                    self._look_at_times()
                    self._submit()
            self._proposals.tell_rest()
        except BaseException:
            # An interrupt may have come in the midst of the database's own work, which then fails
            # once more. What can't be closed now, the next launch closes.
            for _ in range(2):
                with contextlib.suppress(Exception):
                    for running in self._running.values():
                        self._close(running)
                    break
            raise
        return self._why_it_ended()

    def stop(self) -> None:
        """Has running trials end after their present epoch, and starts no more."""
        self._stopping = True

    def on_epoch(self, epoch: EpochResult) -> Decision:
        """See `Handler.on_epoch`."""
        running = self._running[epoch.number]
        self._runs.log_epoch(running.run_ids[epoch.repeat], epoch)
        self._progress.epoch_ended(epoch)
        running.take_epoch(epoch, self._clock.seconds)
        # The first repeat is what a pruner judges a trial by.
        prune = epoch.repeat == 0 and self._proposals.report(epoch)
        if epoch.epoch >= running.trial.spec.epochs:
            return "continue"
        if self._cuts():
            return "stop"
        return "prune" if prune or self._time_limit.cuts(running) else "continue"

    def on_result(self, result: TrialResult) -> None:
        """See `Handler.on_result`. It is taken into the record with others that come with it."""
        self._results.append(result)

    def _take_results(self) -> None:
        """Records what has come in, at once, and goes on from it."""
        if not self._results:
            return
        results, self._results = self._results, []
        with self._runs.together():
            ended = [trial for trial in map(self._record, results) if trial is not None]
        for trial in ended:
            self._follow(trial)
        self._first_trials.check()

    def _record(self, result: TrialResult) -> EndedTrial | None:
        """Records what came of a training; returns the trial, if that has ended."""
        running = self._running[result.number]
        cut = self._time_limit.reason(result.number)
        if cut and result.state == "pruned":
            result = replace(result, reason=cut)
        if self._description.repeats > 1:
            self._runs.finish_trial(running.run_ids[result.repeat], result)
            running.results.append(result)
            if result.state == "complete" and result.repeat + 1 < self._description.repeats:
                # Whether there is a next one is decided when it would begin.
                self._repeats.append(result.number)
                return None
            result = self._combined(running)
        trial = self._end(running.trial, result)
        if not self._description.lag and trial.state in FINISHED_STATES:
            # With its result, or it might be lost: nobody is told of it again.
            self._best.take(trial, told_before=False)
        return trial

    def on_lost(self, spec: TrialSpec, reason: str, out_of_memory: bool = False) -> None:
        """See `Handler.on_lost`."""
        number = spec.number
        running = self._running[number]
        hung, cut = self._time_limit.has_cut(number), self._time_limit.reason(number)
        if hung:
            self.on_result(TrialResult(number, "infeasible", reason=cut, repeat=spec.repeat))
            return
        if self._stopping:
            # Who stops a whole session or service sends its signal to the workers too.
            reason = f"stopped: {reason}"
            self.on_result(TrialResult(number, "interrupted", reason=reason, repeat=spec.repeat))
            return
        trial = replace(running.trial, losses=running.trial.losses + 1)
        was_alone = number in self._alone
        if trial.losses < _ATTEMPTS and not (out_of_memory and was_alone):
            how = "; it is tried once more, alone" if out_of_memory else ""
            self._progress.say(f"trial {number}: {reason}{how}")
            if out_of_memory:
                self._alone.add(number)
            del self._running[number]
            self._close(running, trial.losses)
            self._again.appendleft(trial)
            return
        self._progress.say(f"trial {number}: {reason}")
        if was_alone:
            reason = f"{reason}, with no other trial beside it"
        else:
            reason = f"{_ATTEMPTS} attempts, and in each {reason}"
        self.on_result(TrialResult(number, "infeasible", reason=reason, repeat=spec.repeat))

    def _combined(self, running: Running) -> TrialResult:
        """Returns what came of all repeats; the trial's own run gets the mean of each epoch."""
        for epoch in running.mean_epochs():
            self._runs.log_epoch(running.trial.run_id, epoch)
        return running.combined(self._description.objective)

    def _end_between_repeats(self, running: Running) -> None:
        last = running.results[-1]
        running.results[-1] = replace(last, state="interrupted", reason="stopped between repeats")
        self._follow(self._end(running.trial, self._combined(running)))

    def _end(self, trial: TrialRecord, result: TrialResult) -> EndedTrial:
        """Records what came of a trial; returns it as it is now."""
        result = replace(result, joined=as_they_can_join(self._description, result.joined))
        self._runs.finish_trial(trial.run_id, result)
        return trial.with_result(result)

    def _follow(self, trial: EndedTrial) -> None:
        """Goes on from a trial that has ended, and is in the record."""
        # One that ended with it may have shown hyperparameters that it lacks.
        trial = completed(trial, self._description.space)
        del self._running[trial.number]
        if trial.state == "interrupted":
            self._progress.trial_ended(trial.result, None)
            return
        self._first_trials.take(trial)
        if warning := self._validated_on.take(trial):
            self._progress.say(warning)
        self._finished[trial.number] = self._trials[trial.number] = trial
        self._retention.add(trial)
        self._proposals.ended(trial)
        self._retention.tidy(self._proposals.engine)
        self._shown = best_trial([self._shown, trial], self._description.objective)
        best = self._shown
        shown = None if best is None or best.best is None else (best.number, best.best.value)
        self._progress.trial_ended(trial.result, shown)

    def _on_told(self, trial: EndedTrial) -> None:
        """Goes on from what an engine was told."""
        self._join(trial.result)
        self._counted.add(trial.number)
        if self._description.lag:
            # An engine that is told by number is told the last trials by each launch.
            self._best.take(trial, told_before=trial.number in self._finished_before)
        self._ended_early()

    def _join(self, result: TrialResult) -> None:
        """Takes hyperparameters into the space that the builder has only now shown."""
        if not self._description.discovered or not result.joined:
            return
        space = joined(self._description.space, result.joined)
        names = ", ".join(str(parameter["name"]) for parameter in result.joined)
        fixed = all(parameter["kind"] == "fixed" for parameter in result.joined)
        how = "left at its default, as the engine can't tune it" if fixed else "tuned from now on"
        self._progress.say(f"trial {result.number} showed {names}: {how}")
        self._description = replace(self._description, space=space)
        self._runs.description = self._description
        self._trials = {n: completed(trial, space) for n, trial in self._trials.items()}
        self._finished = {n: completed(trial, space) for n, trial in self._finished.items()}
        self._again = deque(completed(trial, space) for trial in self._again)
        for running in self._running.values():
            # It may begin again, or its next repeat may.
            running.trial = completed(running.trial, space)
        # The engine that a launch from the record would make.
        trials_by_number = [self._trials[n] for n in sorted(self._trials)]
        epochs = [epoch for each in self._running.values() for epoch in each.first_repeat()]
        self._proposals.restore(space, trials_by_number, epochs)

    def _wait(self) -> None:
        """Has the executor work; without a training that runs, not so long that a stop waits."""
        idle = len(self._running) == len(self._repeats)
        seconds = _SECONDS_TO_NOTICE if idle else self._time_limit.seconds_to_wait
        try:
            self._executor.wait(self, seconds)
        except WorkerError:
            # A worker that is ended while it loads, by what stops this process too.
            if not (idle and self._stopping):
                raise
        finally:
            self._take_results()

    def _look_at_times(self) -> None:
        """Ends trainings that hang."""
        for spec in self._executor.delayed:
            self._running[spec.number].delay(self._clock.seconds)
        for number in self._time_limit.hanging(self._running.values()):
            if self._executor.cut(number):
                self._time_limit.was_cut(number)

    def _ended_early(self) -> bool:
        """Tells whether the study's budget is spent, its number of trials aside."""
        if self._ending is None:
            self._ending = reached(
                self._description, self._clock.seconds, self._counted, self._best.trial
            )
        return self._ending is not None

    def _cuts(self) -> bool:
        """Tells whether running trials are to end after their present epoch."""
        return self._stopping or (self._at_the_end == "cut" and self._ended_early())

    def _waits_for_a_worker(self) -> bool:
        """Tells whether trials are left, and all that could run them is being replaced."""
        if self._executor.free or self._cuts():
            return False
        begun = len(self._trials) >= self._description.trials or self._exhausted
        return bool(self._again) or not (begun or self._ended_early())

    def _why_it_ended(self) -> Ending:
        return why_it_ended(
            total=self._description.trials,
            finished=len(self._finished),
            begun=len(self._trials),
            exhausted=self._exhausted,
            early=self._ending,
            stopped=self._stopping,
        )

    def _submit(self) -> None:
        """Begins trainings where workers are free. Their runs are there before any of them is."""
        while self._submit_together():
            pass

    def _submit_together(self) -> bool:
        """Begins as many at once as are soon found; returns whether there may be more."""
        tasks: list[TrialTask] = []
        ends = time.monotonic() + _SECONDS_TOGETHER
        with self._runs.together():
            while more := len(tasks) < self._executor.free and not self._stopping:
                if self._repeats:
                    running = self._running[self._repeats.popleft()]
                    if self._cuts():
                        self._end_between_repeats(running)
                        continue
                else:
                    begun = self._begin_next()
                    if begun is None:
                        more = False
                        break
                    running = begun
                tasks.append(self._begin_training(running))
                if time.monotonic() > ends:
                    break
            # Told to stop, which may be at any moment, it begins none of them any more.
            while self._stopping and self._repeats:
                self._end_between_repeats(self._running[self._repeats.popleft()])
        for task in tasks:
            self._running[task.spec.number].delay(self._clock.seconds)
            self._executor.submit(task)
        return more

    def _begin_next(self) -> Running | None:
        """Begins a trial that was cut, or the next one; None if there is none to begin."""
        losses = 0
        if self._cuts() or (self._ended_early() and not self._again) or self._is_kept_free():
            return None
        if self._again:
            before = self._again.popleft()
            spec = replace(before.spec, attempt=before.spec.attempt + 1)
            proposal = Proposal(before.number, spec.values, before.engine_state, known=before.known)
            losses = before.losses
        elif len(self._trials) < self._description.trials and not self._exhausted:
            asked = self._ask(len(self._trials))
            if asked is None:
                return None
            proposal, spec = asked, spec_of(asked, self._description, self._finished)
        else:
            return None
        environment = self._executor.environment
        run_id = self._runs.begin_trial(spec, proposal, environment, losses)
        trial = TrialRecord(
            run_id=run_id,
            spec=spec,
            state="running",
            result=None,
            engine_state=proposal.state,
            environment=environment,
            code_digest=self._description.code.digest,
            started=0,
            known=proposal.known,
            losses=losses,
        )
        self._trials[spec.number] = trial
        self._running[spec.number] = Running(trial)
        self._progress.trial_begins(spec)
        return self._running[spec.number]

    def _is_kept_free(self) -> bool:
        """Tells whether what runs is to end first: a trial has the machine alone, or waits to."""
        waits = bool(self._again) and self._again[0].number in self._alone
        return bool(self._running) and (waits or not self._alone.isdisjoint(self._running))

    def _ask(self, number: int) -> Proposal | None:
        """Returns the next proposal; None if there is none, or none yet."""
        if not self._proposals.ready_for(number) or self._ended_early():
            return None
        given = self._given(number)
        asked = self._proposals.ask(given)
        # What has ended may open something: Hyperband promotes it.
        while asked is None and self._proposals.tell_next() and not self._ended_early():
            asked = self._proposals.ask(given)
        self._exhausted = asked is None and not self._running and not self._ended_early()
        return asked

    def _given(self, number: int) -> dict[str, Any] | None:
        """Returns the values that a study was told to begin with, if this trial is to have such."""
        initial = self._description.initial
        if number >= len(initial):
            return None
        return complete(self._description.space, initial[number])

    def _begin_training(self, running: Running) -> TrialTask:
        """Begins a trial's training, or the next of its repeats."""
        spec, repeat = running.trial.spec, len(running.specs)
        if self._description.repeats > 1:
            seed = trial_seed(self._description.seed, spec.number, repeat)
            spec = replace(spec, repeat=repeat, seed=seed)
            run_id = self._runs.begin_repeat(running.trial.run_id, spec)
        else:
            run_id = running.trial.run_id
        running.begin_training(spec, run_id, self._clock.seconds)
        self._tell_of_origin(spec)
        last_kept = self._retention.last_kept(running.trial.known)
        return task_of(spec, self._description, self._runs.files, self._trainer, last_kept)

    def _tell_of_origin(self, spec: TrialSpec) -> None:
        """Gives a trial that goes on from another one the epochs that were trained there."""
        if spec.goes_on_from is None or not spec.initial_epoch:
            return
        parent, run_id = self._finished[spec.goes_on_from], self._running[spec.number].run_ids[0]
        for epoch, metrics in epoch_metrics(self._runs.store, parent.run_id).items():
            known = EpochResult(spec.number, epoch, metrics, 0.0)
            self._runs.log_epoch(run_id, known)
            self._proposals.report(known)

    def _close(self, running: Running, losses: int | None = None) -> None:
        for run_id in running.run_ids[len(running.results) :]:
            if run_id != running.trial.run_id:
                self._runs.close_left_running(replace(running.trial, run_id=run_id))
        self._runs.close_left_running(running.trial, losses)
