"""Decides when a study ends, and ends fits that take too long."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Literal, NamedTuple

from search_spaces.texts import duration
from studies.running.trials import Running
from tracking.records import StudyDescription, TrialRecord

EndedBy = Literal["trials", "space", "timeout", "stop_at", "patience", "interrupt", "error"]


class Ending(NamedTuple):
    """The reason why a launch ended."""

    by: EndedBy
    text: str


INTERRUPTED = Ending("interrupt", "interrupted; launch again to resume")


def reached(
    description: StudyDescription,
    seconds: float,
    since_best: int,
    best: TrialRecord | None,
) -> Ending | None:
    """Returns why a study ends early, or None.

    `since_best` is the number of finished trials after the best one.
    """
    if best is not None and best.best is not None:
        objective, value = description.objective, best.best.value
        target = description.stop_at
        if target is not None and (value == target or objective.is_better(value, target)):
            return Ending(
                "stop_at",
                f"{objective.metric} reached {target:.6g}: {value:.6g} in trial {best.number}",
            )
    if description.patience is not None and since_best >= description.patience:
        than = "no value" if best is None else f"nothing better than trial {best.number}"
        return Ending("patience", f"{since_best} trials in a row found {than}")
    if description.timeout is not None and seconds >= description.timeout:
        return Ending(
            "timeout", f"the time of {duration(description.timeout)} is up; launch again to resume"
        )
    return None


# A fit whose time is up may finish its present epoch. Its process is killed if this epoch takes
# longer than _EPOCHS_OF_GRACE times the fit's longest epoch, plus _SECONDS_OF_GRACE.
_EPOCHS_OF_GRACE = 2
_SECONDS_OF_GRACE = 2.0
_SECONDS_BETWEEN_LOOKS = 0.5
# After a longer gap between two checks, this process was suspended or busy. Its workers may have
# been suspended too.
_LONGEST_BETWEEN_LOOKS = 4 * _SECONDS_BETWEEN_LOOKS


class Clock:
    """Counts the seconds of a launch."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Starts to count at 0."""
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """The seconds since the start."""
        return time.monotonic() - self._began


class TimeLimit:
    """Ends fits that take longer than the study's `trial_timeout`."""

    def __init__(self, seconds: float | None, clock: Clock) -> None:
        self._seconds, self._clock = seconds, clock
        self._looked = clock.seconds
        # Trials in `_ending` end after their present epoch. Trials in `_hanging` were killed.
        self._ending: set[int] = set()
        self._hanging: set[int] = set()

    @property
    def seconds_to_wait(self) -> float | None:
        """The seconds until fits are checked again, or None if there is no limit."""
        return None if self._seconds is None else _SECONDS_BETWEEN_LOOKS

    def cuts(self, running: Running) -> bool:
        """Returns whether a fit that has just finished an epoch must end."""
        if self._is_up(running):
            self._ending.add(running.trial.number)
            return True
        return False

    def hanging(self, trainings: Collection[Running]) -> list[int]:
        """Returns the numbers of trials whose time is up and whose present epoch takes too long."""
        numbers: list[int] = []
        now = self._clock.seconds
        since, self._looked = now - self._looked, now
        if self._seconds is None:
            return numbers
        if since > _LONGEST_BETWEEN_LOOKS:
            for running in trainings:
                running.postpone(since)
        for running in trainings:
            grace = running.longest_epoch * _EPOCHS_OF_GRACE + _SECONDS_OF_GRACE
            hangs = not running.longest_epoch or now - running.last_epoch > grace
            if self._is_up(running) and hangs and running.trial.number not in self._hanging:
                numbers.append(running.trial.number)
        return numbers

    def was_cut(self, number: int) -> None:
        """Notes that the process of a hanging trial was killed."""
        self._hanging.add(number)

    def has_cut(self, number: int) -> bool:
        """Returns whether a trial's process was killed because the trial was hanging."""
        return number in self._hanging

    def reason(self, number: int) -> str:
        """Returns why the time limit ended a trial, and forgets the trial.

        Returns an empty text for other trials.
        """
        hung, ended = number in self._hanging, number in self._ending
        self._hanging.discard(number)
        self._ending.discard(number)
        if not hung and not ended:
            return ""
        assert self._seconds is not None, "there is a limit"
        up = f"its time of {duration(self._seconds)} was up"
        return f"{up}, and its epoch did not end" if hung else up

    def _is_up(self, running: Running) -> bool:
        return self._seconds is not None and self._clock.seconds - running.began >= self._seconds
