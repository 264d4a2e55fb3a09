"""Choice, Boolean and Fixed: parameters with listed values. Also reads any parameter from JSON."""

from __future__ import annotations

import ast
import functools
import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any, ClassVar, Final

import attrs

from search_spaces.errors import SearchSpaceError
from search_spaces.parameters.parameter_and_values import (
    NOT_GIVEN,
    Parameter,
    Scalar,
    attrs_parameter,
    checked,
    identity,
    is_object,
    plain_value,
    spelling,
)
from search_spaces.parameters.ranges import Float, Int
from search_spaces.texts import near_match

_SWITCH: Final = (False, True)


def _values(values: object, parameter: Parameter, field: object) -> tuple[Any, ...]:
    # A string is refused, because it would be read as a list of letters. A set is refused, because
    # it has no order.
    if not isinstance(values, Iterable) or isinstance(
        values, str | bytes | Mapping | set | frozenset
    ):
        raise parameter.wrong("values", "a list or a tuple", values, "Write [value, value, …].")
    plain = [plain_value(value, f"{parameter.subject}: a value") for value in values]
    if not plain:
        raise parameter.wrong("values", "at least one", values)
    keys = set()
    for value in plain:
        if identity(value) in keys:
            raise SearchSpaceError(
                f"{parameter.subject}: {value!r} is listed twice in {plain!r}: list it once."
            )
        keys.add(identity(value))
    return tuple(plain)


def _value(value: object, parameter: Parameter, field: object) -> Any:
    return plain_value(value, f"{parameter.subject}: the value")


@attrs_parameter
class Listed(Parameter):
    """The base of Choice, Boolean and Fixed, which list their values."""

    @property
    def _declared(self) -> tuple[Any, ...]:
        """The values as declared, e.g. the tuple (64, 32) where `values` has "(64, 32)"."""
        return _SWITCH

    @functools.cached_property
    def values(self) -> tuple[Scalar, ...]:
        """The values, in declared order. A tuple such as (64, 32) is the text "(64, 32)"."""
        return tuple(map(spelling, self._declared))

    @functools.cached_property
    def objects(self) -> frozenset[str]:
        """The texts in `values` that stand for a tuple, list or dict."""
        return frozenset(repr(value) for value in self._declared if is_object(value))

    @functools.cached_property
    def _indices(self) -> dict[tuple[str, object], int]:
        return {identity(value): index for index, value in enumerate(self.values)}

    @property
    def count(self) -> int:
        """How many values there are."""
        return len(self.values)

    @property
    def types(self) -> frozenset[type]:
        """The types of the values."""
        return frozenset(map(type, self.values))

    def _expected(self, value: object) -> tuple[str, str] | None:
        # 1, 1.0 and True are three values.
        if self._index(value) is not None:
            return None
        near = near_match(value, [text for text in self.values if isinstance(text, str)])
        return f"one of {', '.join(map(repr, self._declared))}", near

    def index(self, value: Any) -> int:
        """Returns the index of a value in `values`."""
        self.validate(value)
        index = self._index(value)
        assert index is not None, "the value is in the domain"
        return index

    def opened(self, value: Any) -> Any:
        """Returns what a builder reads: the tuple (64, 32) for the value "(64, 32)"."""
        return _opened(value, self.objects)

    def _index(self, value: object) -> int | None:
        """Returns the index of a value, or None. A list may stand for a tuple, which JSON lacks."""
        index = self._indices.get(identity(value))
        if index is not None or not self.objects or not is_object(value):
            return index
        try:
            content = json.dumps(value)
        except (TypeError, ValueError):
            return None
        indices = [i for i, v in enumerate(self._declared) if json.dumps(v) == content]
        return indices[0] if len(indices) == 1 else None

    def canonical(self, value: Any) -> Scalar:
        """Returns the entry of `values` for a value: "(64, 32)" for the tuple (64, 32)."""
        return self.values[self.index(value)]

    def to_unit(self, value: Any) -> float:
        """Returns the middle of the value's share of [0, 1]. All values have equal shares."""
        return (self.index(value) + 0.5) / self.count

    def from_unit(self, unit: float) -> Scalar:
        """Returns the value in whose share of [0, 1] the coordinate lies."""
        return self.values[min(int(self._checked_unit(unit) * self.count), self.count - 1)]

    def grid_values(self) -> tuple[Scalar, ...]:
        """Returns all values, in declared order."""
        return self.values

    def _usual_default(self) -> Any:
        return self.values[0]

    def _with_objects(self, domain: dict[str, Any]) -> dict[str, Any]:
        return {**domain, "objects": sorted(self.objects)} if self.objects else domain


def _opened(value: Any, objects: Collection[str]) -> Any:
    return ast.literal_eval(value) if isinstance(value, str) and value in objects else value


@attrs_parameter
class Choice(Listed):
    """One of several values, whose order does not matter.

    Args:
        name: The parameter's name.
        values: Strings, ints, finite floats, booleans and None, in any mixture. 1, 1.0 and True are
            three values. A value may also be a tuple, list or dict of these. A builder reads the
            tuple (64, 32), and records show the text "(64, 32)".
        default: The value to begin with. If left out, it is the first value. With `default=None`,
            it is the value None.
        role: See `Parameter`, also for `when` and `otherwise`.

    Raises:
        SearchSpaceError: If an argument is wrong.

    Example:
        >>> ks.Choice("optimizer", ["adam", "sgd"]).default
        'adam'
        >>> ks.Choice("hidden", [(64,), (64, 32)]).values
        ('(64,)', '(64, 32)')
    """

    kind: ClassVar[str] = "choice"

    _argument: Any = attrs.field(alias="values", converter=checked(_values))

    @property
    def _declared(self) -> tuple[Any, ...]:
        return tuple(self._argument)

    def domain(self) -> dict[str, Any]:
        """Returns the values."""
        return self._with_objects({"values": list(self.values)})

    def _arguments(self) -> list[str]:
        return [repr(list(self._argument))]


@attrs_parameter
class Boolean(Listed):
    """A switch: False or True.

    Args:
        name: The parameter's name.
        default: The value to begin with.
        role: See `Parameter`, also for `when` and `otherwise`.

    Raises:
        SearchSpaceError: If an argument is wrong.

    Example:
        >>> ks.Boolean("batchnorm").values
        (False, True)
    """

    kind: ClassVar[str] = "boolean"

    default: Any = attrs.field(default=False, kw_only=True)

    def domain(self) -> dict[str, Any]:
        """Returns an empty dict: the values are always False and True."""
        return {}

    def _arguments(self) -> list[str]:
        return []


@attrs_parameter
class Fixed(Listed):
    """A value that does not vary. It is recorded with the values that vary.

    Args:
        name: The parameter's name.
        value: A string, an int, a finite float, a boolean, None, or a tuple, list or dict of these.
        when: The condition under which the parameter is active. See `Parameter`.
        otherwise: The value that a builder reads while the parameter is not active.

    Raises:
        SearchSpaceError: If an argument is wrong.

    Example:
        >>> ks.Fixed("activation", "relu").value
        'relu'
    """

    kind: ClassVar[str] = "fixed"

    role: Any = attrs.field(default="fixed", init=False)
    default: Any = attrs.field(default=NOT_GIVEN, init=False)
    _argument: Any = attrs.field(alias="value", converter=checked(_value))

    @property
    def value(self) -> Scalar:
        """The value. For a tuple, list or dict, its `repr`."""
        return self.values[0]

    @property
    def _declared(self) -> tuple[Any, ...]:
        return (self._argument,)

    def domain(self) -> dict[str, Any]:
        """Returns the value."""
        return self._with_objects({"value": self.value})

    def _arguments(self) -> list[str]:
        return [repr(self._argument)]


_KINDS: Final[Mapping[str, Any]] = {
    parameter_class.kind: parameter_class
    for parameter_class in (Float, Int, Choice, Boolean, Fixed)
}


def parameter_from_dict(content: Mapping[str, Any]) -> Parameter:
    """Returns the parameter that `Parameter.to_dict` wrote."""
    kind, objects = content["kind"], content.get("objects", ())
    # `to_dict` also writes the default and the role of a Fixed, but the class takes neither.
    unused = ("kind", "objects", *(("default", "role") if kind == "fixed" else ()))
    arguments = {key: value for key, value in content.items() if key not in unused}
    if "value" in arguments:
        arguments["value"] = _opened(arguments["value"], objects)
    if "values" in arguments:
        arguments["values"] = [_opened(value, objects) for value in arguments["values"]]
    parameter: Parameter = _KINDS[kind](**arguments)
    return parameter
