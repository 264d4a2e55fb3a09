"""Where in a file of weights each array is: learnt once for a structure, used for all that follow.

Keras walks a model, layer by layer, to write its ``.weights.h5``. For a model of 50,000 weights
that takes longer than a third of an epoch, and it comes to the same file each time but for the
arrays. So of the first model of a structure two files are written by Keras: one of its weights, and
one of marks, by which the place of each array in the file is found. Later ones are that file with
their own arrays in these places. See docs/decisions/0018.
"""

from __future__ import annotations

import logging
import tempfile
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from studies.training.variables import assign, saved_variables
from tracking.checkpoints import arrays_digest, checkpoint_digest, stored_arrays

if TYPE_CHECKING:
    import keras

_log = logging.getLogger(__name__)
# Writing the arrays of larger models is what takes the time, not the walk.
_LARGEST = 2 * 2**20
_KEPT = 64


class NoLayoutError(Exception):
    """A file does not have a model's variables, as they are, in places of their own."""


@dataclass(frozen=True)
class Layout:
    """A file of weights without the weights.

    Attributes:
        variables: Path, shape and type of each variable of the model, in its order.
        image: The file, with whatever arrays.
        places: For each array: where in the file it is, and of which variable.
        parts: For each array, by name: name, type and shape in the file, and of which variable.
    """

    variables: Sequence[object]
    image: bytes
    places: Sequence[tuple[int, int]]
    parts: Sequence[tuple[str, np.dtype, tuple[int, ...], int]]

    def filled(self, copy: Sequence[np.ndarray]) -> bytearray:
        """Returns the file with the values of a model's variables."""
        filled = bytearray(self.image)
        for offset, variable in self.places:
            content = copy[variable].tobytes()
            filled[offset : offset + len(content)] = content
        return filled

    def digest(self, copy: Sequence[np.ndarray]) -> str:
        """Returns what `checkpoint_digest` gives for the file with these values."""
        return arrays_digest(
            (name, dtype, shape, copy[variable].tobytes())
            for name, dtype, shape, variable in self.parts
        )


class Layouts:
    """Layouts by structure, those that were used last."""

    def __init__(self) -> None:
        self._layouts: OrderedDict[str, Layout | None] = OrderedDict()

    def of(self, structure: str, model: keras.Model) -> Layout | None:
        """Returns the layout of a structure's files, if it is known and fits the model."""
        layout = self._layouts.get(structure)
        if layout is None or layout.variables != _described(model):
            return None
        self._layouts.move_to_end(structure)
        return layout

    def learn(
        self, structure: str, model: keras.Model, copy: Sequence[np.ndarray], digest: str
    ) -> None:
        """Finds out the layout of a structure's files, unless that was tried before.

        Args:
            structure: As in `Trainer.structure`; empty if it is not known.
            model: Of that structure. Its variables have the same values afterwards.
            copy: These values.
            digest: Of the file that Keras wrote of them.
        """
        if not structure or structure in self._layouts:
            return
        layout = None
        if sum(array.nbytes for array in copy) <= _LARGEST:
            try:
                layout = _learnt(model, copy, digest)
            except Exception as error:
                # Keras goes on writing such files.
                _log.debug("no layout of %s: %s", model.name, error)
            finally:
                assign(model, copy)
        self._layouts[structure] = layout
        while len(self._layouts) > _KEPT:
            self._layouts.popitem(last=False)


def _learnt(model: keras.Model, copy: Sequence[np.ndarray], digest: str) -> Layout:
    import h5py

    marks = list(_marks(copy))
    variable_of = {mark.tobytes(): variable for variable, mark in enumerate(marks) if mark.nbytes}
    if len(variable_of) < sum(mark.nbytes > 0 for mark in marks):
        raise NoLayoutError("variables are too small to be told apart")
    assign(model, marks)
    places, parts = [], []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "marks.weights.h5"
        model.save_weights(path)
        with h5py.File(path, "r") as file:
            for name, array in stored_arrays(file):
                variable = variable_of.get(array.tobytes())
                offset = file[name].id.get_offset()
                if variable is None or offset is None:
                    raise NoLayoutError(f"{name} is not a variable's value in a place of its own")
                places.append((offset, variable))
                parts.append((name, array.dtype, array.shape, variable))
        layout = Layout(_described(model), path.read_bytes(), places, parts)
        path.write_bytes(layout.filled(copy))
        if not checkpoint_digest(path) == layout.digest(copy) == digest:
            raise NoLayoutError("what Keras wrote is not what it should come to")
    return layout


def _marks(copy: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    """Yields arrays of the same types and shapes, each unlike all others."""
    random = np.random.default_rng(0)
    for array in copy:
        if array.dtype == bool:
            yield random.integers(0, 2, array.shape).astype(bool)
        else:
            yield np.frombuffer(random.bytes(array.nbytes), array.dtype).reshape(array.shape)


def _described(model: keras.Model) -> Sequence[object]:
    return [
        (variable.path, tuple(variable.shape), variable.dtype)
        for variable in saved_variables(model)
    ]
