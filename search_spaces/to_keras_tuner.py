"""A search space in Keras Tuner's terms, and reading back what its oracles propose.

Keras Tuner knows floats and ints in three scales, booleans, and lists of values of one type. A
parameter that it can hold exactly keeps its name there. Others are encoded, under a name that says
how:

    parameter                                          in Keras Tuner
    Float without a step; Int: linear                  the same, under the same name
    Int: log or reverse_log, without a step            the same, under the same name
    Float with a step; Int: log with a step            "x (index)": the index of the value
    Choice of strings alone, ints alone, floats alone  the values, under the same name
    any other Choice, such as of None and True         their JSON spellings, under the same name
    Boolean                                            False and True, under the same name
    Fixed                                              nothing

Steps use indices because `Float(0, 0.5, step=0.1)` never yields 0.5 there. Choices of several types
use spellings because a `Choice` has one type, in which True is 1.

Keras Tuner, which imports TensorFlow, is imported only when a space is translated.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from search_spaces.encoded_space import EncodedSpace
from search_spaces.errors import SearchSpaceError
from search_spaces.parameters.choices import Boolean, Choice, Fixed
from search_spaces.parameters.parameter import Parameter
from search_spaces.parameters.ranges import Float, Int
from search_spaces.parameters.scalars import is_number
from search_spaces.space import SearchSpace

if TYPE_CHECKING:
    from keras_tuner import HyperParameters
    from keras_tuner.engine.hyperparameters import HyperParameter


RESERVED: Final = "tuner/"
"""What the names begin with that Keras Tuner's Hyperband puts among the values of a trial."""

_ROUNDING: Final = 1e-9
"""How far beyond its range, relative to its larger end, a float may be: what powers leave."""


class KerasTunerSpace(EncodedSpace["_Encoding"]):
    """Translates between the values of a search space and those of Keras Tuner's oracles."""

    library = "Keras Tuner"

    def __init__(self, space: SearchSpace, *, listed: bool = False) -> None:
        """Chooses an encoding for each parameter.

        Keras Tuner's grid needs all values of each int, and lists only ten of one on a logarithmic
        scale: with `listed`, these use indices too.
        """
        for name in space.names:
            if name.startswith(RESERVED) and not isinstance(space[name], Fixed):
                raise SearchSpaceError(
                    f"{name!r} can't be given to Keras Tuner, which keeps names that begin with "
                    f"{RESERVED!r} for itself: give it another name, or use one of Optuna's "
                    f"engines, such as optuna:tpe."
                )
        super().__init__(
            space, lambda each: None if isinstance(each, Fixed) else _Encoding(each, listed)
        )

    def hyperparameters(self) -> HyperParameters:
        """Returns the space as Keras Tuner's, parents first, without the Fixed ones.

        Each has as conditions those of all its ancestors, as in nested `conditional_scope`s.
        """
        import keras_tuner

        declared = keras_tuner.HyperParameters()
        conditions: dict[str, list[Any]] = {}
        for parameter in self._space.parents_first:
            own = conditions[parameter.name] = self._conditions(parameter, conditions)
            encoding = self._encodings.get(parameter.name)
            if encoding is not None:
                # `conditional_scope` itself can't hold two parents that don't depend on each
                # other: it looks for the second one under the condition on the first.
                declared.merge([encoding.hyperparameter(own)])
        return declared

    def encode(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Returns what an oracle's trial holds for values of the space, by Keras Tuner's names."""
        return {
            each.name: each.encode(values[each.parameter.name]) for each in self._active(values)
        }

    def decode(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the values that an oracle proposes, without Hyperband's own entries."""
        return super().decode({n: v for n, v in stored.items() if not n.startswith(RESERVED)})

    def _conditions(self, parameter: Parameter, known: Mapping[str, list[Any]]) -> list[Any]:
        """Returns its conditions and those of all ancestors; a Fixed parent's own replace it."""
        conditions: list[Any] = []
        for name, values in parameter.when.items():
            conditions += [each for each in known[name] if each not in conditions]
            encoding = self._encodings.get(name)
            if encoding is not None:
                conditions.append(_on(encoding.name, [encoding.encode(value) for value in values]))
        return conditions


def _on(parent: str, values: Sequence[Any]) -> Any:
    """Keras Tuner's condition on a parent, whose class it keeps private; a scope makes one."""
    import keras_tuner

    scratch = keras_tuner.HyperParameters()
    scratch.Fixed(parent, values[0])
    with scratch.conditional_scope(parent, list(values)):
        scratch.Boolean(f"under {parent}")
    return scratch.space[-1].conditions[-1]


class _Encoding:
    """The encoding of one parameter: a row of the table above."""

    def __init__(self, parameter: Parameter, listed: bool) -> None:
        self.parameter: Any = parameter
        self.name = parameter.name
        self._values: Sequence[Any] | None = None
        self._stored: Sequence[Any] = ()
        if isinstance(parameter, Choice):
            self._values = parameter.values
            types = {type(value) for value in parameter.values}
            plain = len(types) == 1 and types <= {str, int, float}
            self._stored = self._values if plain else [json.dumps(v) for v in self._values]
        elif _by_index(parameter, listed):
            self.name += " (index)"
            self._values = parameter.grid_values() or ()
            self._stored = range(len(self._values))

    def hyperparameter(self, conditions: list[Any]) -> HyperParameter:
        """Returns the hyperparameter of Keras Tuner, under these conditions."""
        from keras_tuner.engine import hyperparameters as kinds

        known = self.parameter
        common = {
            "name": self.name,
            "conditions": conditions,
            "default": self.encode(known.default),
        }
        if isinstance(known, Boolean):
            return kinds.Boolean(**common)
        if isinstance(known, Choice):
            return kinds.Choice(values=list(self._stored), **common)
        if self._values is not None:
            return kinds.Int(min_value=0, max_value=len(self._values) - 1, **common)
        make: Callable[..., HyperParameter] = kinds.Int if isinstance(known, Int) else kinds.Float
        # A step is left to Keras Tuner only where it is a difference of ints.
        step = known.step if isinstance(known, Int) and known.scale == "linear" else None
        return make(
            min_value=known.low, max_value=known.high, step=step, sampling=known.scale, **common
        )

    def encode(self, value: Any) -> Any:
        """Returns what Keras Tuner holds for a value of the domain."""
        known = self.parameter
        if isinstance(known, Choice):
            return self._stored[known.index(value)]
        canonical = known.canonical(value)
        return canonical if self._values is None else known.grid.nearest_index(canonical)

    def decode(self, stored: Any) -> Any:
        """Returns the value of the domain for what Keras Tuner proposes."""
        known = self.parameter
        if self._values is not None:
            if type(stored) is type(self._stored[0]) and stored in self._stored:
                return self._values[self._stored.index(stored)]
        elif isinstance(known, Boolean):
            if isinstance(stored, bool):
                return stored
        elif isinstance(known, Float | Int) and is_number(stored):
            # At the very top Keras Tuner makes high + 1 of an int on a logarithmic scale.
            slack = _ROUNDING * max(abs(known.low), abs(known.high))
            if isinstance(known, Int):
                slack = 0.0 if known.scale == "linear" else 1.0
            value = known.nearest(stored)
            if abs(value - stored) <= slack and isinstance(stored, type(known.low)):
                return value
        raise SearchSpaceError(
            f"{known.subject}: Keras Tuner's {self.name!r} is {stored!r}, which is not of "
            f"{known!r}: the trial is of another space."
        )


def _by_index(parameter: Parameter, listed: bool) -> bool:
    if isinstance(parameter, Float):
        return parameter.step is not None
    if isinstance(parameter, Int) and parameter.scale != "linear":
        return listed or parameter.step > 1
    return False
