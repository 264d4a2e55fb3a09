"""The runs of trials and of their fits: begun, ended, closed."""

from __future__ import annotations

from collections.abc import Mapping
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
        self,
        spec: TrialSpec,
        proposal: Proposal,
        environment: Mapping[str, str],
        losses: int,
        now: float,
    ) -> Running:
        """Begins a trial, and its first fit."""
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
        running = self._trials.begin(trial, self._fits(spec))
        self._begin_fit(running, now)
        return running

    def _fits(self, spec: TrialSpec) -> list[TrialSpec]:
        """Returns the fits of a trial: one, or one for each repeat or fold."""
        description = self._runs.description
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

    def _begin_fit(self, running: Running, now: float) -> None:
        """Begins the run of a trial's next fit; a single fit has the trial's own."""
        run_id = running.trial.run_id
        # Hyperparameters may have joined the space since the trial began.
        values = running.trial.spec.values
        spec = replace(running.fits[len(running.results)], values=values)
        if len(running.fits) > 1:
            run_id = self._runs.begin_repeat(run_id, spec)
        running.begin_fit(run_id, now)
        if spec.goes_on_from is not None and spec.initial_epoch:
            # It continues another trial, and gets the epochs of that one.
            parent = self._trials.finished[spec.goes_on_from]
            for epoch, metrics in epoch_metrics(self._runs.store, parent.run_id).items():
                known = EpochResult(spec.number, epoch, metrics, 0.0)
                self._runs.log_epoch(run_id, known)
                self._search.report(known)

    def take_epoch(self, running: Running, epoch: EpochResult, now: float) -> bool:
        """Records an epoch; returns whether the pruner ends the trial with it.

        The epoch is written with others.
        """
        self._runs.keep_epoch(running.run_ids[epoch.repeat], epoch)
        running.take_epoch(epoch, now)
        return self._search.prunes(running, epoch)

    def end_fit(self, running: Running, result: TrialResult, now: float) -> None:
        """Records the result of a fit that another one follows, and begins that."""
        self._runs.finish_trial(running.run_ids[result.repeat], result)
        running.results.append(result)
        self._begin_fit(running, now)

    def end(self, running: Running, result: TrialResult) -> EndedTrial:
        """Records the result of a trial's last fit; returns the trial."""
        description = self._runs.description
        if len(running.fits) > 1:
            self._runs.finish_trial(running.run_ids[result.repeat], result)
            running.results.append(result)
            for epoch in running.mean_epochs():
                self._runs.log_epoch(running.trial.run_id, epoch)
            result = running.combined(description)
        result = replace(result, joined=joinable(description, result.joined))
        self._runs.finish_trial(running.trial.run_id, result)
        trial = running.trial.with_result(result)
        if trial.state in FINISHED_STATES:
            self._search.record(trial)
        return trial

    def lose(self, running: Running, losses: int) -> None:
        """Ends the runs of an attempt whose process died; ``losses`` count against the trial."""
        trial = running.trial
        repeats = [run_id for run_id in _without_result(running) if run_id != trial.run_id]
        self._runs.lose_trial(trial.run_id, repeats, trial.losses + losses)

    def close(self, running: Running) -> None:
        """Ends the runs of a trial that has no result."""
        for run_id in dict.fromkeys([*_without_result(running), running.trial.run_id]):
            self._runs.close_left_running(run_id)


def _without_result(running: Running) -> list[str]:
    return running.run_ids[len(running.results) :]
