"""Which checkpoints stay on disk: those of the best trials, and those that others go on from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from studies.engines.engine import Engine
from tracking.history import checkpoint_path, last_checkpoint_path
from tracking.records import StudyDescription, TrialRecord
from tracking.selection import beyond_retention, ranked
from tracking.store import Store


class Retention:
    """Follows a study's finished trials, and drops the files that are of no more use.

    Args:
        store: Where the files are.
        description: The study.
        finished: Its finished trials, at the beginning.
    """

    def __init__(
        self, store: Store, description: StudyDescription, finished: Iterable[TrialRecord]
    ) -> None:
        self._store, self._description = store, description
        self._objective, self._keep = description.objective, description.keep
        order = ranked(finished, self._objective)
        self._kept = order[: self._keep]
        # Those not kept that may still have files.
        self._dropped: dict[int, TrialRecord] = {t.number: t for t in order[len(self._kept) :]}
        self._with_last = {t.number: t for t in order if _has_last(t)}

    def add(self, trial: TrialRecord) -> None:
        """Takes a finished trial."""
        if trial.best is None:
            return
        if _has_last(trial):
            self._with_last[trial.number] = trial
        dropped = beyond_retention([*self._kept, trial], self._objective, self._keep)
        self._kept = [each for each in [*self._kept, trial] if each not in dropped]
        self._dropped.update({each.number: each for each in dropped})

    def tidy(self, engine: Engine) -> None:
        """Removes the files of no more use, as far as the engine does not want them."""
        for number in _of_no_use(self._with_last, engine):
            last_checkpoint_path(self._store, self._description, number).unlink(missing_ok=True)
            del self._with_last[number]
        for number in _of_no_use(self._dropped, engine):
            for repeat in range(self._description.repeats):
                path = checkpoint_path(self._store, self._description, number, repeat)
                path.unlink(missing_ok=True)
            del self._dropped[number]


def _has_last(trial: TrialRecord) -> bool:
    return trial.result is not None and bool(trial.result.last_sha256)


def _of_no_use(trials: Mapping[int, TrialRecord], engine: Engine) -> list[int]:
    return [number for number in trials if not engine.may_go_on(number)]
