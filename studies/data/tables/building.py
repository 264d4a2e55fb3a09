"""The data that a model is built for: of a fold, or in place of the study's own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from studies.data import AnySplits

_present: ContextVar[AnySplits | None] = ContextVar("kerastudy_data_built_for", default=None)


@contextlib.contextmanager
def building_for(splits: AnySplits | None) -> Iterator[None]:
    """Lets builders that are called within get what depends on the data of their trial."""
    token = _present.set(splits)
    try:
        yield
    finally:
        _present.reset(token)


def built_for() -> AnySplits | None:
    """Returns the data of the trial whose model is built now; None outside of a study."""
    return _present.get()
