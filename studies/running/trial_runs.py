"""Records trials and their fits as they begin and end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from studies.definition.seeds import trial_seed
from studies.running.definitions import joinable
from studies.running.running_trial import Running
from studies.running.search import Search
from studies.running.study_trials import StudyTrials
from tracking.history.curves import epoch_metrics
from tracking.journal import Journal
from tracking.records import (
    EndedTrial,
    EpochResult,
    Proposal,
    TrialRecord,
    TrialResult,
    TrialSpec,
)


class TrialRuns:
    """Records the trials of a study as they begin and end."""

    def __init__(self, journal: Journal, trials: StudyTrials, search: Search) -> None:
        self._journal, self._trials, self._search = journal, trials, search

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
            uuid=self._journal.begin_trial(spec, proposal, environment, losses),
            spec=spec,
            state="running",
            result=None,
            engine_state=proposal.state,
            environment=environment,
            code_digest=self._journal.description.code.digest,
            started=0,
            known=proposal.known,
            losses=losses,
        )
        running = self._trials.begin(trial, self._fits(spec))
        self._begin_fit(running, now)
        return running

    def _fits(self, spec: TrialSpec) -> list[TrialSpec]:
        """Returns the fits of a trial: one, or one for each repeat or fold."""
        description = self._journal.description
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
        """Begins a trial's next fit."""
        # Hyperparameters may have joined the space since the trial began.
        values = running.trial.spec.values
        spec = replace(running.fits[len(running.results)], values=values)
        only = len(running.fits) == 1
        fit = self._journal.begin_fit(running.trial.uuid, spec, only=only)
        running.begin_fit(fit, now)
        if spec.goes_on_from is not None and spec.initial_epoch:
            # It continues another trial, and gets the epochs of that one.
            parent = self._trials.finished[spec.goes_on_from]
            for epoch, metrics in epoch_metrics(self._journal.folder, parent).items():
                known = EpochResult(spec.number, epoch, metrics, 0.0)
                self._journal.log_epoch(fit, known)
                self._search.report(known)

    def take_epoch(self, running: Running, epoch: EpochResult, now: float) -> bool:
        """Records an epoch; returns whether the pruner ends the trial with it.

        The epoch is written with others.
        """
        self._journal.log_epoch(running.uuids[epoch.repeat], epoch)
        running.take_epoch(epoch, now)
        return self._search.prunes(running, epoch)

    def end_fit(self, running: Running, result: TrialResult, now: float) -> None:
        """Records the result of a fit that another one follows, and begins that."""
        self._journal.end_fit(running.uuids[result.repeat], result)
        running.results.append(result)
        self._begin_fit(running, now)

    def end(self, running: Running, result: TrialResult) -> EndedTrial:
        """Records the result of a trial's last fit; returns the trial."""
        description = self._journal.description
        if len(running.fits) > 1:
            self._journal.end_fit(running.uuids[result.repeat], result)
            running.results.append(result)
            result = running.combined(description)
        result = replace(result, joined=joinable(description, result.joined))
        self._journal.end_trial(running.trial.uuid, result)
        return running.trial.with_result(result)

    def lose(self, running: Running, losses: int) -> None:
        """Ends an attempt whose process died; ``losses`` count against the trial."""
        self._journal.lose_trial(running.trial.uuid, running.trial.losses + losses)
