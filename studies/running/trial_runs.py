"""The runs of trials and of their trainings: begun, ended, closed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from studies.definition.seeds import trial_seed
from studies.running.definitions import joinable
from studies.running.running_trial import Running
from studies.running.search import Search
from studies.running.study_trials import StudyTrials
from tracking.history.curves import epoch_metrics
from tracking.records import (
    FINISHED_STATES,
    EndedTrial,
    EpochResult,
    Proposal,
    TrialRecord,
    TrialResult,
    TrialSpec,
)
from tracking.runs.study_runs import StudyRuns


class TrialRuns:
    """Records the trials of a study as they begin and end."""

    def __init__(self, runs: StudyRuns, trials: StudyTrials, search: Search) -> None:
        self._runs, self._trials, self._search = runs, trials, search

    def begin(
        self, spec: TrialSpec, proposal: Proposal, environment: Mapping[str, str], losses: int
    ) -> Running:
        """Begins a trial."""
        trial = TrialRecord(
            run_id=self._runs.begin_trial(spec, proposal, environment, losses),
            spec=spec,
            state="running",
            result=None,
            engine_state=proposal.state,
            environment=environment,
            code_digest=self._runs.description.code.digest,
            started=0,
            known=proposal.known,
            losses=losses,
        )
        return self._trials.begin(trial)

    def begin_training(self, running: Running, now: float) -> TrialSpec:
        """Begins a trial's training, or the next of its repeats or folds; returns its spec.

        A fold that begins before its turn gets its run when it is its turn.
        """
        spec, repeat = running.trial.spec, len(running.flight.specs)
        description, number = self._runs.description, running.trial.number
        if description.trainings > 1:
            seed = trial_seed(description.seed, spec.number, repeat)
            fold = repeat if description.folds else None
            spec = replace(spec, repeat=repeat, seed=seed, fold=fold)
        running.flight.begin(spec)
        together = 1 if self._trials.was_alone(number) else description.folds_together
        if together > 1 and repeat + 1 < description.trainings:
            self._trials.train_next(number)
        if repeat == running.present:
            self._begin_run(running, spec, now)
        return spec

    def take_epoch(self, running: Running, epoch: EpochResult, now: float) -> bool:
        """Records an epoch, with others; returns whether the pruner ends the training with it."""
        self._runs.keep_epoch(running.run_ids[epoch.repeat], epoch)
        running.take_epoch(epoch, now)
        return self._search.prunes(running, epoch)

    def catch_up(self, running: Running, now: float) -> Iterator[EpochResult]:
        """Records the epochs of a fold that began before its turn, and yields them."""
        present, begun = running.present, running.flight.specs
        if present < len(begun) and present == len(running.specs):
            self._begin_run(running, begun[present], now)
        for epoch in running.flight.epochs(present):
            self.take_epoch(running, epoch, now)
            yield epoch

    def _begin_run(self, running: Running, spec: TrialSpec, now: float) -> None:
        run_id = running.trial.run_id
        if self._runs.description.trainings > 1:
            run_id = self._runs.begin_repeat(run_id, spec)
        running.begin_training(spec, run_id, now)
        if spec.goes_on_from is not None and spec.initial_epoch:
            # It continues another trial, and gets the epochs of that one.
            parent = self._trials.finished[spec.goes_on_from]
            for epoch, metrics in epoch_metrics(self._runs.store, parent.run_id).items():
                known = EpochResult(spec.number, epoch, metrics, 0.0)
                self._runs.log_epoch(run_id, known)
                self._search.report(known)

    def end_training(self, result: TrialResult) -> EndedTrial | None:
        """Records the result of a training; returns the trial, if it has ended."""
        running = self._trials.running[result.number]
        repeats = self._runs.description.trainings
        if repeats > 1:
            self._runs.finish_trial(running.run_ids[result.repeat], result)
            running.results.append(result)
            if result.state == "complete" and result.repeat + 1 < repeats:
                # Whether there is a next repeat is decided when it would begin.
                if len(running.flight.specs) == running.present:
                    self._trials.train_next(result.number)
                return None
            result = self._combined(running)
        trial = self._end(running.trial, result)
        if trial.state in FINISHED_STATES:
            self._search.record(trial)
        return trial

    def end_between_repeats(self, running: Running) -> EndedTrial:
        """Records that a trial was interrupted after one of its repeats; returns the trial."""
        last = running.results[-1]
        what = "folds" if self._runs.description.folds else "repeats"
        running.results[-1] = replace(last, state="interrupted", reason=f"stopped between {what}")
        return self._end(running.trial, self._combined(running))

    def lose(self, running: Running, losses: int) -> None:
        """Ends the runs of an attempt whose process died; ``losses`` count against the trial."""
        trial = running.trial
        repeats = [run_id for run_id in _without_result(running) if run_id != trial.run_id]
        self._runs.lose_trial(trial.run_id, repeats, trial.losses + losses)

    def close(self, running: Running) -> None:
        """Ends the runs of a trial that has no result."""
        for run_id in dict.fromkeys([*_without_result(running), running.trial.run_id]):
            self._runs.close_left_running(run_id)

    def _combined(self, running: Running) -> TrialResult:
        """Returns the result of all repeats; the trial's own run gets the mean of each epoch."""
        for epoch in running.mean_epochs():
            self._runs.log_epoch(running.trial.run_id, epoch)
        return running.combined(self._runs.description)

    def _end(self, trial: TrialRecord, result: TrialResult) -> EndedTrial:
        result = replace(result, joined=joinable(self._runs.description, result.joined))
        self._runs.finish_trial(trial.run_id, result)
        return trial.with_result(result)


def _without_result(running: Running) -> list[str]:
    return running.run_ids[len(running.results) :]
