"""Removes the files of trials that the study needs no more.

``--keep`` says how many of the best trials keep their checkpoints. Also removed are the states of
finished trials, and the scores of trials without a value.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable

from tracking.records import Rank, StudyDescription, TrialRecord
from tracking.records.trial_records import rank_of, ranked
from tracking.store.checkpoint_digests_and_trial_files import StudyFiles


class Retention:
    """Removes files of finished trials as soon as nothing needs them."""

    def __init__(
        self, files: StudyFiles, description: StudyDescription, finished: Iterable[TrialRecord]
    ) -> None:
        self._files, self._description = files, description
        # The ranks of all trials with a value, best first.
        self._ranks: list[Rank] = []
        # The numbers of trials that may have a state file, of trials whose checkpoint must be
        # removed, and of trials without a value. At first there may be many files to remove, if an
        # earlier launch was killed or had a higher --keep.
        self._with_state, self._dropped, self._valueless = set[int](), set[int](), set[int]()
        for trial in finished:
            self.add(trial)

    def add(self, trial: TrialRecord) -> None:
        """Adds a finished trial, and notes which files are not needed any more."""
        self._with_state.add(trial.number)
        if trial.best is None:
            # The trial has no value, e.g. because a fold was pruned. So nothing reads its scores,
            # and they are removed.
            self._valueless.add(trial.number)
        for valued in ranked([trial], self._description.objective):
            rank, keep = rank_of(valued, self._description.objective), self._description.keep
            bisect.insort(self._ranks, rank)
            if keep is not None and len(self._ranks) > keep:
                # There is now one checkpoint too many. The worst trial loses its checkpoint: this
                # trial, or the trial that this trial has pushed out of the best ones.
                self._dropped.add(max(rank, self._ranks[keep]).number)

    def last_kept(self) -> Rank | None:
        """Returns the rank of the worst trial whose checkpoint is kept.

        Returns None if the checkpoint of any further trial would be kept.
        """
        keep = self._description.keep
        return None if keep is None or len(self._ranks) < keep else self._ranks[keep - 1]

    def tidy(self) -> None:
        """Removes the files that the study needs no more."""
        # The champion of a cross-validated study is trained once more, on all folds together. The
        # files of this training are removed like those of a repeat.
        repeats = range(self._description.trainings + bool(self._description.folds))
        for number in self._with_state:
            for repeat in repeats:
                self._files.state(number, repeat).unlink(missing_ok=True)
        self._with_state.clear()
        for number in self._dropped:
            for repeat in repeats:
                self._files.checkpoint(number, repeat).unlink(missing_ok=True)
        self._dropped.clear()
        for number in self._valueless:
            for repeat in repeats:
                self._files.scores(number, repeat).unlink(missing_ok=True)
        self._valueless.clear()
