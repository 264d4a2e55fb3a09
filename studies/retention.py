"""Which files stay on disk: checkpoints of the best trials, and states that are gone on from."""

from __future__ import annotations

from collections.abc import Iterable

from studies.engines.engine import Engine
from tracking.atomic import one_before
from tracking.records import StudyDescription, TrialRecord
from tracking.selection import beyond_retention, ranked
from tracking.study_files import StudyFiles


class Retention:
    """Follows a study's finished trials, and drops the files that are of no more use.

    Args:
        files: Where they are.
        description: The study.
        finished: Its finished trials, at the beginning.
    """

    def __init__(
        self, files: StudyFiles, description: StudyDescription, finished: Iterable[TrialRecord]
    ) -> None:
        self._files, self._description = files, description
        self._objective, self._keep = description.objective, description.keep
        finished = list(finished)
        order = ranked(finished, self._objective)
        self._kept = order[: self._keep]
        # Those that may still have files of no more use. A kill may have come between a file and
        # what supersedes it; --keep may be less.
        self._dropped = {trial.number for trial in order[len(self._kept) :]}
        self._with_state = {trial.number for trial in finished}

    def add(self, trial: TrialRecord) -> None:
        """Takes a finished trial."""
        self._with_state.add(trial.number)
        if trial.best is None:
            return
        dropped = beyond_retention([*self._kept, trial], self._objective, self._keep)
        self._kept = [each for each in [*self._kept, trial] if each not in dropped]
        self._dropped |= {each.number for each in dropped}

    def tidy(self, engine: Engine) -> None:
        """Removes the files of no more use, as far as the engine does not want them."""
        repeats = range(self._description.repeats)
        for number in [n for n in self._with_state if not engine.may_go_on(n)]:
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
