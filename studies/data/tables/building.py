"""The data that a model is built for: of a fold, or in place of the study's own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from studies.data import AnySplits


@dataclass
class _Building:
    """A model that is being built."""

    splits: AnySplits | None
    asked: bool = False


_present: ContextVar[_Building | None] = ContextVar("kerastudy_building", default=None)


@contextlib.contextmanager
def building_for(splits: AnySplits | None) -> Iterator[_Building]:
    """Lets builders that are called within get what depends on the data of their trial.

    Yields:
        A record of whether one has asked.
    """
    around = _present.get()
    token = _present.set(building := _Building(splits))
    try:
        yield building
    finally:
        _present.reset(token)
        if around is not None:
            around.asked |= building.asked


def built_for() -> AnySplits | None:
    """Returns the data of the trial whose model is built now; None outside of a study."""
    building = _present.get()
    if building is None:
        return None
    building.asked = True
    return building.splits
