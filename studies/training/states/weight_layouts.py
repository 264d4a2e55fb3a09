"""Where in a file of weights each array is: learnt for a structure, used for all that follow.

Keras walks a model, layer by layer, to write its ``.weights.h5``. For a model of 50,000 weights
that takes longer than a third of an epoch, and it gives the same file each time, except for the
arrays. So of a structure that comes again Keras writes one file more, of marks in place of values,
by which the place of each array is found. Later ones are that file with their own arrays in these
places. See docs/decisions/0018.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from search_spaces.errors import InternalError
from studies.libraries.keras_parts import write_weights
from studies.training.variables import assign, saved_variables
from tracking.store.checkpoints import arrays_digest, digest_in, stored_arrays

if TYPE_CHECKING:
    import keras

_log = logging.getLogger(__name__)
# Bytes of weights and optimizer state. Of larger models the arrays are what takes the time.
_LARGEST = 2 * 2**20
# Bytes of all layouts of a process.
_LARGEST_TOGETHER = 32 * 2**20
_STRUCTURES_KEPT = 1000
# Smaller ones could be taken for something else in the file.
_SMALLEST_MARK = 4


class NoLayoutError(InternalError):
    """A file does not have a model's variables, as they are, in places of their own."""


class StoredArray(NamedTuple):
    """An array in a file of weights.

    Attributes:
        name: In the file.
        dtype: Likewise.
        shape: Likewise.
        offset: Where its bytes begin in the file.
        variable: The position of the variable, among the model's, whose value it is.
    """

    name: str
    dtype: np.dtype
    shape: tuple[int, ...]
    offset: int
    variable: int


@dataclass(frozen=True)
class Layout:
    """A file of weights, for whatever values.

    Attributes:
        variables: Path, shape and type of each variable of the model, in its order.
        image: The file, with any values.
        arrays: The arrays in it, sorted by name.
    """

    variables: Sequence[object]
    image: bytes
    arrays: Sequence[StoredArray]

    def file_of(self, values: Sequence[np.ndarray]) -> bytearray:
        """Returns the file with the values of a model's variables.

        Raises:
            ValueError: If they are of other sizes.
        """
        file = bytearray(self.image)
        for array in self.arrays:
            content = values[array.variable].tobytes()
            if len(content) != array.dtype.itemsize * int(np.prod(array.shape)):
                raise ValueError(f"{array.name} can't have {len(content)} bytes")
            file[array.offset : array.offset + len(content)] = content
        return file

    def digest_of(self, values: Sequence[np.ndarray]) -> str:
        """Returns what `checkpoint_digest` gives for the file with these values."""
        return arrays_digest(
            (array.name, array.dtype, array.shape, values[array.variable].tobytes())
            for array in self.arrays
        )


class Layouts:
    """Layouts by structure, those that were used last."""

    def __init__(self) -> None:
        self._layouts: OrderedDict[str, Layout] = OrderedDict()
        # How often a structure was seen for which there is none.
        self._seen: OrderedDict[str, int] = OrderedDict()

    def for_model(self, model: keras.Model, structure: str) -> Layout | None:
        """Returns the layout of a model's file, if it is known.

        Args:
            model: The model.
            structure: As in `Trainer.structure`.
        """
        layout = self._layouts.get(structure)
        if layout is None or layout.variables != _described(model):
            return None
        self._layouts.move_to_end(structure)
        return layout

    def learn(
        self, model: keras.Model, structure: str, values: Sequence[np.ndarray], digest: str
    ) -> None:
        """Finds out the layout of a structure's files, when it is seen for the second time.

        Args:
            model: Of that structure. Its variables have the same values afterwards.
            structure: As in `Trainer.structure`; if it is empty, nothing is done.
            values: Those of its variables.
            digest: Of the file that Keras wrote of them.
        """
        if not structure or sum(array.nbytes for array in values) > _LARGEST:
            return
        self._seen[structure] = self._seen.pop(structure, 0) + 1
        while len(self._seen) > _STRUCTURES_KEPT:
            self._seen.popitem(last=False)
        # Many structures never come again; what has no layout is not tried again and again.
        if self._seen[structure] != 2:
            return
        try:
            self._layouts[structure] = _learnt(model, values, digest)
        except Exception as error:
            # Keras continues to write such files.
            _log.debug("no layout of %s: %s", model.name, error)
        finally:
            assign(model, values)
        while sum(len(layout.image) for layout in self._layouts.values()) > _LARGEST_TOGETHER:
            self._seen.pop(self._layouts.popitem(last=False)[0], None)


def _learnt(model: keras.Model, values: Sequence[np.ndarray], digest: str) -> Layout:
    import h5py

    marks = list(_marks(values))
    variable_of = {mark.tobytes(): position for position, mark in enumerate(marks)}
    if len(variable_of) < len(marks) or min(map(len, variable_of), default=0) < _SMALLEST_MARK:
        raise NoLayoutError("variables are too small to be told apart")
    assign(model, marks)
    image = _in_memory(model)
    arrays = []
    with h5py.File(io.BytesIO(image), "r") as file:
        for name, array in stored_arrays(file):
            position = variable_of.get(array.tobytes())
            offset = file[name].id.get_offset()
            if position is None or offset is None:
                raise NoLayoutError(f"{name} is not the value of a variable")
            arrays.append(StoredArray(name, array.dtype, array.shape, offset, position))
    layout = Layout(_described(model), image, arrays)
    with h5py.File(io.BytesIO(layout.file_of(values)), "r") as file:
        if not digest_in(file) == layout.digest_of(values) == digest:
            raise NoLayoutError("what Keras wrote is not what it should come to")
    return layout


def _in_memory(model: keras.Model) -> bytes:
    """Returns the file that `save_weights` writes.

    Not on a disk, which may be full: HDF5 does not get over a file that it can't close.
    """
    import keras

    if type(model).save_weights is not keras.Model.save_weights:
        raise NoLayoutError("the model has a save_weights of its own")
    buffer = io.BytesIO()
    # Marks are values that layers may be surprised by.
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        write_weights(model, buffer)
    return buffer.getvalue()


def _marks(values: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    """Yields arrays of the same types and shapes, each unlike all others.

    No numbers that what a layer computes of them could take forever, or be infinite.
    """
    random = np.random.default_rng(0)
    for value in values:
        if value.dtype == bool:
            # A bit each: as many as make the smallest mark.
            if value.size < 8 * _SMALLEST_MARK:
                raise NoLayoutError("variables are too small to be told apart")
            mark: np.ndarray | float = random.integers(0, 2, value.shape)
        elif value.dtype.kind in "iu":
            least, most = (100_000, 1_000_000) if value.dtype.itemsize >= 4 else (1, 100)
            mark = random.integers(least, most, value.shape)
        else:
            mark = random.uniform(0.1, 0.9, value.shape)
        yield np.asarray(mark).astype(value.dtype)


def _described(model: keras.Model) -> Sequence[object]:
    return [
        (variable.path, tuple(variable.shape), variable.dtype)
        for variable in saved_variables(model)
    ]
