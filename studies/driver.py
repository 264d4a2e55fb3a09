"""The loop that ties engine, executor and tracking together.

It alone talks to the engine and to MLflow. What must not be lost is written in this order: the
trial's run before it trains; its checkpoint when it has ended; its run's result; the engine's
copy. A process killed in between leaves a study that the next launch goes on with.
"""

from __future__ import annotations

import contextlib
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from search_spaces import SearchSpace
from search_spaces.completion import complete
from studies.definitions import as_they_can_join
from studies.engines.engine import Curve, Engine
from studies.executors.executor import Executor
from studies.progress import Progress
from studies.repeats import combined, mean_metrics
from studies.retention import Retention
from studies.seeds import trial_seed
from studies.specs import spec_of, task_of
from tracking.history import epoch_metrics
from tracking.joining import completed, joined
from tracking.records import (
    FINISHED_STATES,
    Decision,
    EpochResult,
    Proposal,
    TrialRecord,
    TrialResult,
    TrialSpec,
)
from tracking.runs import StudyRuns
from tracking.selection import best_trial

# A trial whose process ends by itself so often is what ends it.
_ATTEMPTS = 3

EngineOf = Callable[[SearchSpace], Engine]


@dataclass
class _Running:
    """A trial that runs: its record, and the trainings that it is made of."""

    trial: TrialRecord
    specs: list[TrialSpec] = field(default_factory=list)
    run_ids: list[str] = field(default_factory=list)
    results: list[TrialResult] = field(default_factory=list)
    epochs: list[EpochResult] = field(default_factory=list)


class Driver:
    """Runs a study until it has its trials. A `Handler` of the executor's.

    Args:
        executor: Where trials run.
        engine_of: Makes what proposes them, for a space.
        runs: Where they are recorded.
        recorded: What the record has: trials by number.
        curve: Reads a recorded trial's objective by epoch.
        progress: What a person sees.
    """

    def __init__(
        self,
        executor: Executor,
        engine_of: EngineOf,
        runs: StudyRuns,
        recorded: Sequence[TrialRecord],
        curve: Curve,
        progress: Progress,
    ) -> None:
        self._executor = executor
        self._engine_of = engine_of
        self._curve = curve
        self._runs = runs
        self._progress = progress
        self._description = runs.description
        self._trials = {trial.number: trial for trial in recorded}
        self._finished = {t.number: t for t in recorded if t.state in FINISHED_STATES}
        self._again = deque(t for t in recorded if t.state not in FINISHED_STATES)
        self._running: dict[int, _Running] = {}
        self._repeats: deque[int] = deque()
        self._losses: Counter[int] = Counter()
        self._stopping = False
        self._exhausted = False
        self._engine = self._restored_engine()
        finished = self._finished.values()
        self._best = best_trial(finished, self._description.objective)
        self._retention = Retention(runs.store, self._description, finished)

    def run(self) -> str:
        """Runs trials; returns why it ended, for people to read."""
        total = self._description.trials
        # A kill may have come between a checkpoint and what it supersedes; --keep may be less.
        self._retention.tidy(self._engine)
        self._progress.begin(self._description, len(self._finished), total)
        try:
            self._submit()
            while self._running:
                self._executor.wait(self)
                self._submit()
        except BaseException:
            # An interrupt may have come in the midst of the database's own work, which then fails
            # once more. What can't be closed now, the next launch closes.
            for _ in range(2):
                with contextlib.suppress(Exception):
                    self._close_running()
                    break
            raise
        if self._stopping:
            return "interrupted; launch again to go on"
        if self._exhausted:
            return f"all {len(self._finished)} configurations of the space were tried"
        return f"all {total} trials are done"

    def stop(self) -> None:
        """Has running trials end after their present epoch, and starts no more."""
        self._stopping = True

    @property
    def stopped(self) -> bool:
        """Whether it was told to stop before the study had its trials."""
        return self._stopping

    def on_epoch(self, epoch: EpochResult) -> Decision:
        """See `Handler.on_epoch`."""
        running = self._running[epoch.number]
        self._runs.log_epoch(running.run_ids[epoch.repeat], epoch)
        self._progress.epoch_ended(epoch)
        running.epochs.append(epoch)
        # The first repeat is what a pruner judges a trial by.
        prune = epoch.repeat == 0 and self._reported(epoch)
        if epoch.epoch >= running.trial.spec.epochs:
            return "continue"
        if self._stopping:
            return "stop"
        return "prune" if prune else "continue"

    def on_result(self, result: TrialResult) -> None:
        """See `Handler.on_result`."""
        running = self._running[result.number]
        if self._description.repeats > 1:
            self._runs.finish_trial(running.run_ids[result.repeat], result)
            running.results.append(result)
            if result.state == "complete" and result.repeat + 1 < self._description.repeats:
                if not self._stopping:
                    self._repeats.append(result.number)
                    return
                result = replace(result, state="interrupted", reason="stopped between repeats")
                running.results[-1] = result
            result = self._combined(running)
        self._end(running.trial, result)

    def on_lost(self, spec: TrialSpec, reason: str) -> None:
        """See `Handler.on_lost`."""
        number = spec.number
        running = self._running.pop(number)
        self._progress.say(f"trial {number}: {reason}")
        self._losses[number] += 1
        if self._losses[number] < _ATTEMPTS:
            self._close(running)
            self._again.appendleft(running.trial)
            return
        self._running[number] = running
        reason = f"{_ATTEMPTS} attempts, and in each {reason}"
        self.on_result(TrialResult(number, "infeasible", reason=reason, repeat=spec.repeat))

    def _end(self, trial: TrialRecord, result: TrialResult) -> None:
        result = replace(result, joined=as_they_can_join(self._description, result.joined))
        self._runs.finish_trial(trial.run_id, result)
        del self._running[result.number]
        if result.state == "interrupted":
            self._progress.trial_ended(result, None)
            return
        done = replace(trial, state=result.state, result=result)
        self._finished[result.number] = self._trials[result.number] = done
        attributes = {"mlflow_run": trial.run_id}
        if result.reason:
            attributes["reason"] = result.reason
        self._engine.tell(result.number, result, attributes)
        self._join(result)
        best = best_trial([self._best, done], self._description.objective)
        if best is done and best.best is not None:
            self._runs.log_best_so_far(best.number, best.best.value)
        self._best = best
        self._retention.add(done)
        self._retention.tidy(self._engine)
        shown = None if best is None or best.best is None else (best.number, best.best.value)
        self._progress.trial_ended(result, shown)

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
        for trials in (self._trials, self._finished):
            trials.update({n: completed(trial, space) for n, trial in trials.items()})
        self._again = deque(completed(trial, space) for trial in self._again)
        # The engine that a launch from the record would make.
        self._engine = self._restored_engine()
        for running in self._running.values():
            for epoch in running.epochs:
                if epoch.repeat == 0:
                    self._reported(epoch)

    def _restored_engine(self) -> Engine:
        engine = self._engine_of(self._description.space)
        engine.restore([self._trials[n] for n in sorted(self._trials)], self._curve)
        return engine

    def _submit(self) -> None:
        while self._executor.free and not self._stopping:
            if self._repeats:
                running = self._running[self._repeats.popleft()]
            else:
                begun = self._begin_next()
                if begun is None:
                    return
                running = begun
            self._submit_training(running)

    def _begin_next(self) -> _Running | None:
        """Begins a trial that was cut, or the next one; None if there is none to begin."""
        if self._again:
            before = self._again.popleft()
            spec = replace(before.spec, attempt=before.spec.attempt + 1)
            proposal = Proposal(before.number, spec.values, before.engine_state)
        elif len(self._trials) < self._description.trials and not self._exhausted:
            number = len(self._trials)
            asked = self._engine.ask(self._known(number))
            if asked is None:
                # What runs may yet open something: Hyperband promotes what has ended.
                self._exhausted = not self._running
                return None
            proposal, spec = asked, spec_of(asked, self._description, self._finished)
        else:
            return None
        environment = self._executor.environment
        run_id = self._runs.begin_trial(spec, proposal, environment)
        trial = TrialRecord(
            run_id=run_id,
            spec=spec,
            state="running",
            result=None,
            engine_state=proposal.state,
            environment=environment,
            code_digest=self._description.code.digest,
            started=0,
        )
        self._trials[spec.number] = trial
        self._running[spec.number] = _Running(trial)
        self._progress.trial_begins(spec)
        return self._running[spec.number]

    def _known(self, number: int) -> dict[str, Any] | None:
        """Returns the values that a study was told to begin with, if this trial is to have such."""
        initial = self._description.initial
        if number >= len(initial):
            return None
        return complete(self._description.space, initial[number])

    def _submit_training(self, running: _Running) -> None:
        """Submits a trial's training, or the next of its repeats."""
        spec, repeat = running.trial.spec, len(running.specs)
        if self._description.repeats > 1:
            seed = trial_seed(self._description.seed, spec.number, repeat)
            spec = replace(spec, repeat=repeat, seed=seed)
            run_id = self._runs.begin_repeat(running.trial.run_id, spec)
        else:
            run_id = running.trial.run_id
        running.specs.append(spec)
        running.run_ids.append(run_id)
        self._tell_of_origin(spec)
        self._executor.submit(task_of(spec, self._description, self._runs.store))

    def _tell_of_origin(self, spec: TrialSpec) -> None:
        """Gives a trial that goes on from another one the epochs that were trained there."""
        if spec.goes_on_from is None or not spec.initial_epoch:
            return
        parent, run_id = self._finished[spec.goes_on_from], self._running[spec.number].run_ids[0]
        for epoch, metrics in epoch_metrics(self._runs.store, parent.run_id).items():
            known = EpochResult(spec.number, epoch, metrics, 0.0)
            self._runs.log_epoch(run_id, known)
            self._reported(known)

    def _reported(self, epoch: EpochResult) -> bool:
        value = epoch.metrics.get(self._description.objective.metric)
        return value is not None and self._engine.report(epoch.number, epoch.epoch, value)

    def _combined(self, running: _Running) -> TrialResult:
        """Returns what came of a repeated trial; its own run gets the mean of each epoch."""
        by_epoch: dict[int, list[EpochResult]] = {}
        for epoch in running.epochs:
            by_epoch.setdefault(epoch.epoch, []).append(epoch)
        for number, epochs in sorted(by_epoch.items()):
            mean = mean_metrics([epoch.metrics for epoch in epochs])
            self._runs.log_epoch(
                running.trial.run_id, EpochResult(running.trial.number, number, mean, 0.0)
            )
        seeds = [spec.seed for spec in running.specs]
        objective = self._description.objective
        return combined(running.results, seeds, running.run_ids, objective)

    def _close_running(self) -> None:
        for running in self._running.values():
            self._close(running)

    def _close(self, running: _Running) -> None:
        for run_id in running.run_ids[len(running.results) :]:
            if run_id != running.trial.run_id:
                self._runs.close_left_running(replace(running.trial, run_id=run_id))
        self._runs.close_left_running(running.trial)
