"""Decides when a study ends, and when a training that takes too long is cut."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
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

    `since_best` is the number of finished trials with a higher number than the best one.
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


# A training whose time is up may still finish its epoch. It gets this many times the duration of
# its longest epoch, and these seconds.
_EPOCHS_OF_GRACE = 2
_SECONDS_OF_GRACE = 2.0
_SECONDS_BETWEEN_LOOKS = 0.5
TICK = 0.25
# A tick takes longer on a busy machine, and much longer in a process that was stopped.
_LONGEST_TICK = 1.0
# So long after a stop, this process has read all messages that came before or during the stop.
_SECONDS_TO_CATCH_UP = 4 * TICK


class AwakeClock:
    """A context manager that counts the seconds in which this process runs.

    The time of a stop (SIGSTOP, a closed lid) does not count, so that a stop cuts no trial: if a
    tick takes more than a second too long, only its CPU time counts. A shorter stop looks like a
    busy machine, and counts.
    """

    def __init__(
        self,
        now: Callable[[], float] = time.monotonic,
        used: Callable[[], float] = time.process_time,
    ) -> None:
        self.seconds = 0.0
        self._now, self._used = now, used
        self._last, self._last_used = now(), used()
        self._awake_since = -_SECONDS_TO_CATCH_UP
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="clock", daemon=True)

    def __enter__(self) -> AwakeClock:
        """Starts the clock."""
        self._last, self._last_used = self._now(), self._used()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stops the clock."""
        self._ended.set()
        self._thread.join()

    @property
    def caught_up(self) -> bool:
        """Whether enough time has passed since a stop to read the messages that came by then."""
        # The thread that ticks may not have run yet after a stop.
        ticks = self._now() - self._last <= TICK + _LONGEST_TICK
        return ticks and self.seconds - self._awake_since >= _SECONDS_TO_CATCH_UP

    def tick(self) -> None:
        """Counts the time since the last tick."""
        now, used = self._now(), self._used()
        passed = now - self._last
        # A long call that lets no other thread run is no stop: it uses CPU time.
        awake = min(passed, max(TICK, used - self._last_used))
        if passed - awake > _LONGEST_TICK:
            self._awake_since = self.seconds + awake
            passed = awake
        self.seconds += passed
        self._last, self._last_used = now, used

    def _run(self) -> None:
        while not self._ended.wait(TICK):
            self.tick()


class TimeLimit:
    """Cuts trainings whose time is up."""

    def __init__(self, seconds: float | None, clock: AwakeClock) -> None:
        self._seconds, self._clock = seconds, clock
        # Trials in `_ending` end after their present epoch. The processes of trials in `_hanging`
        # were ended.
        self._ending: set[int] = set()
        self._hanging: set[int] = set()

    @property
    def seconds_to_wait(self) -> float | None:
        """The seconds until trainings are checked again, or None if there is no limit."""
        return None if self._seconds is None else _SECONDS_BETWEEN_LOOKS

    def cuts(self, running: Running) -> bool:
        """Returns whether a training must end after the epoch that it has just finished."""
        if self._is_up(running):
            self._ending.add(running.trial.number)
            return True
        return False

    def hanging(self, trainings: Iterable[Running]) -> list[int]:
        """Returns the numbers of trials whose time is up and whose present epoch takes too long."""
        numbers: list[int] = []
        # After a stop of this process, messages of these trainings may not be read yet.
        if self._seconds is None or not self._clock.caught_up:
            return numbers
        for running in trainings:
            grace = running.longest_epoch * _EPOCHS_OF_GRACE + _SECONDS_OF_GRACE
            waited = self._clock.seconds - running.last_epoch
            hangs = not running.longest_epoch or waited > grace
            if self._is_up(running) and hangs and running.trial.number not in self._hanging:
                numbers.append(running.trial.number)
        return numbers

    def was_cut(self, number: int) -> None:
        """Notes that a hanging trial's process was ended."""
        self._hanging.add(number)

    def has_cut(self, number: int) -> bool:
        """Returns whether a trial's process was ended because it was hanging."""
        return number in self._hanging

    def reason(self, number: int) -> str:
        """Returns the reason if a trial was ended for its time, else an empty text; forgets it."""
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
