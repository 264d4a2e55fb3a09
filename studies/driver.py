"""The loop that ties engine, executor and tracking together.

It alone talks to the engine and to MLflow. What must not be lost is written in this order: the
trial's run before it trains; its checkpoint when it has ended; its run's result; the engine's
copy. A process killed in between leaves a study that the next launch goes on with.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from studies.engines.engine import Engine
from studies.executors.executor import Executor
from studies.progress import Progress
from studies.seeds import trial_seed
from tracking.history import StudyHistory, checkpoint_path
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
from tracking.selection import best_trial, beyond_retention, ranked

# A trial whose process ends by itself so often is what ends it.
_ATTEMPTS = 3


class Driver:
    """Runs a study until it has its trials. A `Handler` of the executor's.

    Args:
        executor: Where trials run.
        engine: What proposes them; restored from the record already.
        runs: Where they are recorded.
        recorded: What the record has: trials by number.
        progress: What a person sees.
    """

    def __init__(
        self,
        executor: Executor,
        engine: Engine,
        runs: StudyRuns,
        recorded: Sequence[TrialRecord],
        progress: Progress,
    ) -> None:
        self._executor = executor
        self._engine = engine
        self._runs = runs
        self._progress = progress
        self._description = runs.description
        self._finished = {t.number: t for t in recorded if t.state in FINISHED_STATES}
        self._again = deque(t for t in recorded if t.state not in FINISHED_STATES)
        self._asked = len(recorded)
        self._running: dict[int, TrialRecord] = {}
        self._losses: Counter[int] = Counter()
        self._stopping = False
        self._exhausted = False
        finished = ranked(self._finished.values(), self._description.objective)
        self._best = next(iter(finished), None)
        self._kept = finished[: self._description.keep]
        self._beyond = finished[len(self._kept) :]

    def run(self) -> str:
        """Runs trials; returns why it ended, for people to read."""
        total = self._description.trials
        # A kill may have come between a checkpoint and what it supersedes; --keep may be less.
        self._drop(self._beyond)
        self._progress.begin(self._description, len(self._finished), total)
        try:
            self._submit()
            while self._running:
                self._executor.wait(self)
                self._submit()
        except BaseException:
            self._close_running()
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
        trial = self._running[epoch.number]
        self._runs.log_epoch(trial.run_id, epoch)
        self._progress.epoch_ended(epoch)
        value = epoch.metrics.get(self._description.objective.metric)
        prune = value is not None and self._engine.report(epoch.number, epoch.epoch, value)
        if epoch.epoch >= trial.spec.epochs:
            return "continue"
        if self._stopping:
            return "stop"
        return "prune" if prune else "continue"

    def on_result(self, result: TrialResult) -> None:
        """See `Handler.on_result`."""
        trial = self._running[result.number]
        self._runs.finish_trial(trial.run_id, result)
        del self._running[result.number]
        if result.state == "interrupted":
            self._progress.trial_ended(result, None)
            return
        done = replace(trial, state=result.state, result=result)
        self._finished[result.number] = done
        attributes = {"mlflow_run": trial.run_id}
        if result.reason:
            attributes["reason"] = result.reason
        self._engine.tell(result.number, result, attributes)
        self._rank(done)
        best = self._best
        shown = None if best is None or best.best is None else (best.number, best.best.value)
        self._progress.trial_ended(result, shown)

    def on_lost(self, number: int, reason: str) -> None:
        """See `Handler.on_lost`."""
        trial = self._running.pop(number)
        self._progress.say(f"trial {number}: {reason}")
        self._losses[number] += 1
        if self._losses[number] < _ATTEMPTS:
            self._runs.close_left_running(trial)
            self._again.appendleft(trial)
            return
        self._running[number] = trial
        reason = f"{_ATTEMPTS} attempts, and in each {reason}"
        self.on_result(TrialResult(number, "infeasible", reason=reason))

    def _submit(self) -> None:
        while self._executor.free and not self._stopping:
            if self._again:
                before = self._again.popleft()
                spec = replace(before.spec, attempt=before.spec.attempt + 1)
                proposal = Proposal(before.number, spec.values, before.engine_state)
            elif self._asked < self._description.trials and not self._exhausted:
                asked = self._engine.ask()
                if asked is None:
                    self._exhausted = True
                    return
                proposal, spec = asked, self._spec(asked)
                self._asked += 1
            else:
                return
            environment = self._executor.environment
            run_id = self._runs.begin_trial(spec, proposal, environment)
            self._running[spec.number] = TrialRecord(
                run_id=run_id,
                spec=spec,
                state="running",
                result=None,
                engine_state=proposal.state,
                environment=environment,
                code_digest=self._description.code.digest,
                started=0,
            )
            self._progress.trial_begins(spec)
            checkpoint = self._checkpoint(spec.number)
            self._executor.submit(spec, checkpoint, self._description.space)

    def _spec(self, proposal: Proposal) -> TrialSpec:
        description, values = self._description, proposal.values
        return TrialSpec(
            number=proposal.number,
            attempt=1,
            values=values,
            seed=trial_seed(description.seed, proposal.number),
            epochs=int(values.get("epochs", description.epochs)),
            batch_size=int(values.get("batch_size", description.batch_size)),
            threads=description.threads,
            data_digest=description.data.digest,
            objective=description.objective,
        )

    def _rank(self, done: TrialRecord) -> None:
        """Follows the best trial, and drops the checkpoint that is not kept any more."""
        objective, keep = self._description.objective, self._description.keep
        best = best_trial([self._best, done], objective)
        if done.best is None:
            return
        if best is done:
            self._runs.log_best_so_far(done.number, done.best.value)
        self._best = best
        dropped = beyond_retention([*self._kept, done], objective, keep)
        self._kept = [trial for trial in [*self._kept, done] if trial not in dropped]
        self._drop(dropped)

    def _drop(self, trials: Sequence[TrialRecord]) -> None:
        for trial in trials:
            self._checkpoint(trial.number).unlink(missing_ok=True)

    def _close_running(self) -> None:
        for trial in self._running.values():
            self._runs.close_left_running(trial)

    def _checkpoint(self, number: int) -> Path:
        return checkpoint_path(self._runs.store, self._description, number)


def close_left_running(history: StudyHistory, runs: StudyRuns) -> None:
    """Ends the runs that a killed process left RUNNING."""
    for trial in history.trials:
        status = runs.store.client.get_run(trial.run_id).info.status
        if status == "RUNNING":
            runs.close_left_running(trial)
