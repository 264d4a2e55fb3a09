"""Which trials of a study keep their scores of samples: the best ones, within a limit."""

from __future__ import annotations

import bisect
from typing import Final

from tracking.records import Rank

MOST_BYTES: Final = 64 * 10**6
"""Bytes that the files of a study under one engine may take."""


class KeptScores:
    """Follows the files of scores of a study: as many of the best trials as the limit allows.

    Once dropped, scores stay so: trials that end later only take places.
    """

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most
        # The best trial first.
        self._kept: list[tuple[Rank, int]] = []
        self._bytes = 0
        self._dropped: set[int] = set()
        self._told = False

    @property
    def numbers(self) -> set[int]:
        """The trials that keep theirs."""
        return {rank.number for rank, _ in self._kept}

    def add(self, rank: Rank, size: int) -> None:
        """Adds a trial with a file of some bytes; none if it has no scores."""
        if not size:
            return
        bisect.insort(self._kept, (rank, size))
        self._bytes += size
        while self._bytes > self._most:
            last, freed = self._kept.pop()
            self._bytes -= freed
            self._dropped.add(last.number)

    def dropped(self) -> set[int]:
        """Returns the trials whose files must go, each once."""
        dropped, self._dropped = self._dropped, set()
        return dropped

    def told(self) -> str:
        """Returns a line for the user, the first time that scores are dropped; else empty."""
        if self._told or not self._dropped:
            return ""
        self._told = True
        return (
            f"the scores of validation samples reached {self._most // 10**6} MB: only those of the "
            f"best {len(self._kept)} trials are kept"
        )
