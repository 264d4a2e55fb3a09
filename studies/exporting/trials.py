"""The trial that an export is of."""

from __future__ import annotations

from search_spaces.errors import StudyNotFoundError
from tracking.history.study_history import StudyHistory
from tracking.records import EndedTrial


def trial_to_export(history: StudyHistory, number: int | None) -> EndedTrial:
    """Returns a trial with a value: the best one, or that of a number.

    Raises:
        StudyNotFoundError: If there is none.
    """
    trial = history.best if number is None else history.trial(number)
    name = history.description.name
    if trial is None:
        raise StudyNotFoundError(f"The study {name!r} has no trial with a value to export.")
    if not isinstance(trial, EndedTrial) or trial.best is None or trial.state == "interrupted":
        raise StudyNotFoundError(
            f"Trial {trial.number} of {name!r} is {trial.state} and has no value to export."
        )
    return trial
