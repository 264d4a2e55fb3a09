"""Sends a study's record to an MLflow server while the study runs."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Final

from search_spaces.errors import ServerAwayError, ServerRefusedError
from tracking.mirror.study_copy import StudyCopy
from tracking.store.folder import Store

# Seconds between two checks for changes, and two tries of a server that does not answer.
_SECONDS_BETWEEN: Final = 1.0
_SECONDS_AWAY: Final = 5.0
# After so many seconds of sending, tell the user who waits for the study to end.
_SECONDS_IN_SILENCE: Final = 5.0
# After an error, or a stop at once.
_SECONDS_AFTER_AN_ERROR: Final = 10.0


@contextlib.contextmanager
def mirrored(store: Store, name: str, address: str, say: Callable[[str], None]) -> Iterator[Mirror]:
    """Sends a study's record to a server in the background, and the rest at the end."""
    mirror = Mirror(store, name, address, say)
    mirror.start()
    try:
        yield mirror
    except BaseException:
        mirror.close(_SECONDS_AFTER_AN_ERROR)
        raise
    mirror.close()


class Mirror:
    """A thread that sends runs which have changed. The study never waits for it."""

    def __init__(self, store: Store, name: str, address: str, say: Callable[[str], None]) -> None:
        self._copy = StudyCopy(store, name, address)
        self._say = say
        self._changed: dict[str, None] = {}
        self._opened = self._away = self._ending = self._given_up = False
        self._fault = ""
        self._condition = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="mirror", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def changed(self, run_id: str) -> None:
        """Notes that a run has changed."""
        with self._condition:
            self._changed[run_id] = None

    def close(self, seconds: float | None = None) -> None:
        """Sends the rest, and the champion, if the server answers, in at most so many seconds."""
        with self._condition:
            self._ending = True
            self._condition.notify_all()
        why = "it takes too long now"
        try:
            self._thread.join(min(_SECONDS_IN_SILENCE, seconds or _SECONDS_IN_SILENCE))
            if self._thread.is_alive() and (seconds is None or seconds > _SECONDS_IN_SILENCE):
                self._say(
                    f"sending the rest to the MLflow server {self._copy.address}; Ctrl-C "
                    "leaves it for later"
                )
                self._thread.join(None if seconds is None else seconds - _SECONDS_IN_SILENCE)
        except KeyboardInterrupt:
            why = "interrupted"
        if self._thread.is_alive():
            # The study's next launch sends it instead.
            self._given_up = True
            self._say_what_is_left(why)

    def _run(self) -> None:
        try:
            while not self._round():
                with self._condition:
                    pause = _SECONDS_AWAY if self._away else _SECONDS_BETWEEN
                    self._condition.wait_for(lambda: self._ending, pause)
        except ServerRefusedError as error:
            if not self._given_up:
                self._say(f"warning: {error} Nothing more is sent there; the store has everything.")
        except Exception as error:
            # The record is in the store: no failure of the copy may end the study.
            if not self._given_up:
                self._say(f"warning: no more is sent to {self._copy.address}: {error!r}")

    def _round(self) -> bool:
        """Sends all changes; returns whether that was the last time."""
        ending = self._ending
        try:
            self._send(ending)
        except ServerAwayError as error:
            if not self._away and not ending:
                self._say(f"warning: {error} The study continues; the rest is sent later.")
            # What the server took before it went away is unknown: ask again.
            self._away, self._opened = True, False
            if ending and not self._given_up:
                self._say_what_is_left(str(error))
            return ending or self._given_up
        if self._away:
            self._away = False
            self._say(f"the MLflow server {self._copy.address} answers")
        if self._copy.fault != self._fault:
            self._fault = self._copy.fault
            self._say(f"warning: {self._fault} Runs are sent without it.")
        return ending or self._given_up

    def _send(self, ending: bool) -> None:
        if not self._opened:
            self._copy.open()
            missing = self._copy.missing()
            self._copy.send_page()
            with self._condition:
                self._changed = dict.fromkeys([*missing, *self._changed])
            self._opened = True
        while self._changed and not self._given_up:
            with self._condition:
                run_id = next(iter(self._changed))
                # Before reading the run: later changes count as new.
                del self._changed[run_id]
            try:
                self._copy.send(run_id)
            except BaseException:
                self.changed(run_id)
                raise
        if ending and not self._given_up:
            self._copy.send_page()
            self._copy.send_champion()

    def _say_what_is_left(self, why: str) -> None:
        self._say(
            f"warning: the MLflow server has not got all of this study ({why.rstrip('.')}). "
            f"`kerastudy push` sends the rest, and so does the next launch."
        )
