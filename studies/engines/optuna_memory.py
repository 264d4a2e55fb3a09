"""Optuna's storage of a running study, in memory; it can hide trials."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from typing import Any

import optuna

from studies.libraries.optuna_parts import put_trial

# The notes of halving pruners on a trial.
_NOTED = "completed_rung_"


class Memory(optuna.storages.InMemoryStorage):
    """A storage in memory, from which trials can be hidden for a while."""

    def __init__(self) -> None:
        super().__init__()
        self._judged: tuple[int, int] | None = None

    @contextlib.contextmanager
    def hiding_from(self, number: int, known: int | None) -> Iterator[None]:
        """Hides all trials but one and those below another number, within.

        Pruners look at the storage's trials, some through studies that they make themselves.

        Args:
            number: The trial that is judged.
            known: By the trials below this number; None hides nothing.
        """
        self._judged = None if known is None else (number, known)
        try:
            yield
        finally:
            self._judged = None

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Any = None
    ) -> list[optuna.trial.FrozenTrial]:
        """Returns the trials that are not hidden; see Optuna's own."""
        if self._judged is None:
            return super().get_all_trials(study_id, deepcopy, states)
        number, known = self._judged
        if not known:
            # Without a look through all trials, of which there may be thousands.
            alone = self.get_trial(self.get_trial_id_from_study_id_trial_number(study_id, number))
            return [alone] if states is None or alone.state in states else []
        trials = super().get_all_trials(study_id, deepcopy, states)
        return [trial for trial in trials if trial.number < known or trial.number == number]

    def forget_from(self, trial_id: int, step: int) -> None:
        """Drops a trial's reports from `step` onward, before it is trained again from there.

        Pruners judge a trial by its last known step, and by their notes on it. If no
        report is left, the notes go too.
        """
        trial = self.get_trial(trial_id)
        if trial.last_step is None or trial.last_step < step:
            return
        trial = copy.copy(trial)
        trial.intermediate_values = {
            known: value for known, value in trial.intermediate_values.items() if known < step
        }
        if not trial.intermediate_values:
            trial.system_attrs = {
                key: value
                for key, value in trial.system_attrs.items()
                if not key.startswith(_NOTED)
            }
        put_trial(self, trial_id, trial)
