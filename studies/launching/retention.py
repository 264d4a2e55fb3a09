"""Decides which files stay: checkpoints of the best trials, and states to resume from."""

from __future__ import annotations

import bisect
from collections.abc import Iterable

from studies.engines import Engine
from tracking.history.trials import rank_of, ranked
from tracking.records import EndedTrial, Rank, StudyDescription, TrialRecord
from tracking.scores.score_files import KeptScores
from tracking.store.files import StudyFiles, one_before


class Retention:
    """Removes files of finished trials as soon as nothing needs them."""

    def __init__(
        self, files: StudyFiles, description: StudyDescription, finished: Iterable[TrialRecord]
    ) -> None:
        self._files, self._description = files, description
        self._objective, self._keep = description.objective, description.keep
        finished = list(finished)
        # These are the ranks of all trials with a value, best first.
        self._ranks = [rank_of(trial, self._objective) for trial in self._valued(finished)]
        # An earlier launch may have left checkpoints of these trials: it was killed before it
        # removed them, or had a higher --keep.
        self._dropped = {rank.number for rank in self._beyond()}
        self._scores = KeptScores()
        # Nothing reads the scores of trials without a value, e.g. if a fold was pruned.
        self._valueless = {trial.number for trial in finished if trial.best is None}
        for trial in self._valued(finished):
            self._scores.add(rank_of(trial, self._objective), trial.result.scores_bytes)
        self._with_state = {trial.number for trial in finished}

    def add(self, trial: TrialRecord) -> None:
        """Takes a finished trial."""
        self._with_state.add(trial.number)
        if trial.best is None:
            self._valueless.add(trial.number)
        for valued in self._valued([trial]):
            rank = rank_of(valued, self._objective)
            bisect.insort(self._ranks, rank)
            # Drops this trial's checkpoint, or that of the trial that it displaces, if any.
            self._dropped |= {max(rank, first).number for first in self._beyond(1)}
            self._scores.add(rank, valued.result.scores_bytes)

    def told(self) -> str:
        """Returns a line for the user when scores are removed for the first time, else ""."""
        return self._scores.notice()

    def last_kept(self) -> Rank | None:
        """Returns the worst rank whose checkpoint is kept; None if there is room for more."""
        if self._keep is None or len(self._ranks) < self._keep:
            return None
        return self._ranks[self._keep - 1]

    def tidy(self, engine: Engine) -> None:
        """Removes the files that neither the study nor the engine needs any more."""
        # A cross-validated champion has one more training, on all folds.
        repeats = range(self._description.trainings + bool(self._description.folds))
        for number in [n for n in self._with_state if not engine.may_continue(n)]:
            for repeat in repeats:
                path = self._files.state(number, repeat)
                path.unlink(missing_ok=True)
                one_before(path).unlink(missing_ok=True)
            self._with_state.remove(number)
        for number in self._dropped:
            for repeat in repeats:
                path = self._files.checkpoint(number, repeat)
                path.unlink(missing_ok=True)
        self._dropped.clear()
        for number in self._scores.dropped() | (self._valueless if len(repeats) > 1 else set()):
            for repeat in repeats:
                self._files.scores(number, repeat).unlink(missing_ok=True)
        self._valueless.clear()

    def _valued(self, trials: Iterable[TrialRecord]) -> list[EndedTrial]:
        return ranked(trials, self._objective)

    def _beyond(self, most: int | None = None) -> list[Rank]:
        """Returns the best ranks whose checkpoint is not kept, at most `most` of them."""
        if self._keep is None:
            return []
        return self._ranks[self._keep : None if most is None else self._keep + most]
