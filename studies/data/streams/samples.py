"""The first samples of data that comes in batches, to look at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from search_spaces.errors import DataError
from studies.data.parts.part import Part
from studies.data.streams.profiles import PROFILE_SEED, checked_batches, epoch_of, part_of
from studies.data.streams.readings import Reading
from studies.data.streams.streamed_dataset import Stream
from studies.data.structures import Arrays, named_arrays

_MOST_SAMPLES = 5_000
_MOST_BYTES = 64 * 2**20


def first_samples(stream: Stream) -> tuple[Part, bool]:
    """Reads the first samples of a part, in its own order.

    Returns:
        The samples, without weights: at least a batch, at most about 5,000 or 64 MiB. And whether
        these are all.

    Raises:
        DataError: If batches differ in shape. Else whatever reading them raises.
    """
    found: list[Part] = []
    samples = size = 0
    ended = True
    reading = Reading(stream.source, PROFILE_SEED)
    with epoch_of(reading):
        for batch, alone in checked_batches(reading, stream.source):
            found.append(part_of(batch[:2], alone))
            samples += len(found[-1])
            size += sum(array.nbytes for array in named_arrays(found[-1].x, "x").values())
            if samples >= _MOST_SAMPLES or size >= _MOST_BYTES:
                ended = samples == stream.profile.samples
                break
    try:
        x = _together([part.x for part in found])
        return Part(x, _together([part.y for part in found]), alone=found[0].alone), ended
    except ValueError as error:
        raise DataError(
            f"Batches of {stream.source.called} differ in shape, so their samples can't be looked "
            f"at side by side: {error}."
        ) from None


def _together(batches: Sequence[Arrays]) -> Arrays:
    """Returns the samples of batches, of one array or several."""
    first = batches[0]
    if isinstance(first, dict):
        return {name: np.concatenate([each[name] for each in batches]) for name in first}  # type: ignore[call-overload]
    if isinstance(first, tuple):
        return tuple(map(np.concatenate, zip(*batches, strict=True)))
    return np.concatenate(batches)  # type: ignore[arg-type]
