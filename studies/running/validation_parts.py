"""Checks whether trials were validated on the same samples; else values don't compare."""

from __future__ import annotations

from collections.abc import Iterable

from tracking.records import EndedTrial, TrialRecord

# As few trials of equal data as say that it does not depend on hyperparameters.
_ALIKE = 2


class ValidationParts:
    """Follows the validation parts of trials, if their data depends on hyperparameters."""

    def __init__(self, recorded: Iterable[TrialRecord]) -> None:
        self._first: dict[str, int] = {}
        self._told = False
        # What objective functions trained on in earlier launches.
        self._before: dict[str, list[int]] = {}
        for trial in recorded:
            if isinstance(trial, EndedTrial):
                self._note(trial)
                if trial.result.trainer == "objective" and trial.result.data_digest:
                    self._before.setdefault(trial.result.data_digest, []).append(trial.number)

    @property
    def count(self) -> int:
        """The number of validation parts; 0 if all trials have the study's own data."""
        return len(self._first)

    def take(self, trial: EndedTrial) -> str:
        """Takes an ended trial; returns a warning, once, if its value can't be compared."""
        self._note(trial)
        if self._told:
            return ""
        self._told = self.count > 1
        if trial.result.trainer == "objective":
            return self._of_objective(trial)
        if not self._told:
            return ""
        first, other = list(self._first.values())[:2]
        return (
            f"warning: trial {other} was validated on other samples than trial {first}, as the "
            "data depends on hyperparameters: their values do not compare. Give all trials the "
            "same validation targets, by validation=(x, y)."
        )

    def _of_objective(self, trial: EndedTrial) -> str:
        """Returns a warning on a trial of an objective function, which loads its data itself."""
        if self._told:
            first, other = list(self._first.values())[:2]
            return (
                f"warning: trial {other} was validated on other samples than trial {first}: the "
                "data has changed, or the objective function draws the samples by chance. Their "
                "values do not compare. Split the data by a fixed seed, such as random_state=0."
            )
        before, now = self._before, trial.result.data_digest
        if len(before) != 1 or not now or now in before:
            return ""
        # Many trials of different hyperparameters had the same data; so those are not why.
        (numbers,) = before.values()
        if len(numbers) < _ALIKE:
            return ""
        self._told = True
        return (
            f"warning: trial {trial.number} was trained on other data than the {len(numbers)} "
            "trials before this launch: their values may not compare. To start a new study, give "
            "another name with --name."
        )

    def _note(self, trial: EndedTrial) -> None:
        digest = trial.result.validation_digest
        if digest:
            self._first.setdefault(digest, trial.number)
