"""Checks whether trials were validated on the same samples; else values don't compare."""

from __future__ import annotations

from collections.abc import Iterable

from tracking.records import EndedTrial, TrialRecord


class ValidationParts:
    """Follows the validation parts of trials, if their data depends on hyperparameters."""

    def __init__(self, recorded: Iterable[TrialRecord]) -> None:
        self._first: dict[str, int] = {}
        self._told = False
        for trial in recorded:
            if isinstance(trial, EndedTrial):
                self._note(trial)

    @property
    def count(self) -> int:
        """The number of validation parts; 0 if all trials have the study's own data."""
        return len(self._first)

    def take(self, trial: EndedTrial) -> str:
        """Takes an ended trial; returns a warning, once, if its value can't be compared."""
        self._note(trial)
        if self._told or self.count < 2:
            return ""
        self._told = True
        first, other = list(self._first.values())[:2]
        return (
            f"warning: trial {other} was validated on other samples than trial {first}, as the "
            "data depends on hyperparameters: their values do not compare. Give all trials the "
            "same validation targets, by validation=(x, y)."
        )

    def _note(self, trial: EndedTrial) -> None:
        digest = trial.result.validation_digest
        if digest:
            self._first.setdefault(digest, trial.number)
