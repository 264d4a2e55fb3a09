"""Samples as their user gave them, before preprocessing: what a registered model takes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from studies.data.scalings import Scaling
from studies.data.structures import Arrays, map_arrays, named_arrays

Columns = tuple[tuple[str, str], ...]
"""Names and types of a table's columns, in their order."""

_EXAMPLES = 5
# Numbers, or texts, in an example: it is kept as JSON.
_MOST_VALUES = 10_000
# In the unit of a scaled feature: its deviation, most often.
_LARGEST_LOSS = 1e-3


@dataclass(frozen=True, eq=False)
class Prepared:
    """What was done to an input's samples.

    Attributes:
        name: what records call it.
        scalings: what it is, as layers can do it; empty if they can't.
        dtype: the samples' own, before it.
        shape: of a sample, before it.
        loss: how far values moved because Keras reads floats as float32, at most, in the unit of
            what they were scaled to.
    """

    name: str
    scalings: tuple[Scaling, ...]
    dtype: str
    shape: tuple[int, ...]
    loss: float = 0.0


@dataclass(frozen=True, eq=False)
class Given:
    """The samples of a data set as their user gave them.

    Attributes:
        example: the first training samples; none if one is too large to be shown.
        prepared: what was done to the samples, by the names of `structures.named_arrays`.
        columns: of inputs that were tables, by the same names.
        class_names: what the labels 0, 1, 2 and so on stand for; empty if that is not known. Of
            several targets, by the names that `y` has them under.
    """

    example: Arrays | None = None
    prepared: Mapping[str, Prepared] = field(default_factory=dict)
    columns: Mapping[str, Columns] = field(default_factory=dict)
    class_names: tuple[str, ...] | Mapping[str, tuple[str, ...]] = ()

    def describe(self) -> dict[str, object]:
        """Returns what the registered model's metadata says, ready for JSON: no values."""
        names = self.class_names
        return {
            "class_names": list(names)
            if isinstance(names, tuple)
            else {target: list(each) for target, each in names.items()},
            "preprocessing": {
                name: {"name": each.name, "in_the_model": bool(each.scalings)}
                for name, each in self.prepared.items()
            },
            "columns": {name: [list(pair) for pair in each] for name, each in self.columns.items()},
        }

    @property
    def unlike_layers(self) -> Mapping[str, Prepared]:
        """What no layer can do, by the inputs' names."""
        return {name: each for name, each in self.prepared.items() if not each.scalings}

    @property
    def warnings(self) -> list[str]:
        """What a person should know."""
        found = [
            f"preprocess={each.name} can't be made layers of a Keras model, so the registered "
            f"model will take {name} as that returns it, not as it was given. Put it into the "
            "model as layers; 'standardize', 'minmax' and scikit-learn's StandardScaler, "
            "MinMaxScaler, MaxAbsScaler and RobustScaler are put into it."
            for name, each in self.unlike_layers.items()
        ]
        return found + [
            f"Keras reads floats as float32, which moves values of {name} by up to "
            f"{each.loss:.2g} after preprocess={each.name}. Subtract an offset from its large "
            "numbers, such as dates as seconds."
            for name, each in self.prepared.items()
            if each.loss > _LARGEST_LOSS
        ]


def examples_of(x: Arrays) -> Arrays | None:
    """Returns copies of the first samples, as many as are small enough to be shown."""
    values = sum(math.prod(array.shape[1:]) for array in named_arrays(x, "x").values())
    count = min(_EXAMPLES, _MOST_VALUES // max(1, values))
    if not count:
        return None
    copies: Arrays = map_arrays(lambda array: np.array(array[:count]), x)
    return copies
