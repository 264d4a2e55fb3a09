"""Choice, Boolean and Fixed: parameters with listed values. Also reads any parameter from JSON."""

from __future__ import annotations

import ast
import functools
import json
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final

import attrs

from search_spaces.argument_checks import choice
from search_spaces.errors import SearchSpaceError, near_match
from search_spaces.parameters.base import Parameter, attrs_parameter, checked
from search_spaces.parameters.ranges import Float, Int
from search_spaces.parameters.values import (
    NOT_GIVEN,
    Scalar,
    identity,
    is_object,
    plain_value,
    spelling,
)

_SWITCH: Final = (False, True)


def _values(values: object, parameter: Parameter, field: object) -> tuple[Any, ...]:
    # Strings are refused, since nobody means their letters, and sets, since they have no order.
    if not isinstance(values, Iterable) or isinstance(
        values, str | bytes | Mapping | set | frozenset
    ):
        raise parameter.wrong("values", "a list or a tuple", values, "Write [value, value, …].")
    plain = tuple(plain_value(each, f"{parameter.subject}: a value") for each in values)
    if not plain:
        raise parameter.wrong("values", "at least one", values)
    identities = [identity(value) for value in plain]
    for index, value in enumerate(plain):
        if identities[index] in identities[:index]:
            raise SearchSpaceError(
                f"{parameter.subject}: {value!r} is listed twice in {list(plain)!r}: list it once."
            )
    return plain


def _value(value: object, parameter: Parameter, field: object) -> Any:
    return plain_value(value, f"{parameter.subject}: the value")


@attrs_parameter
class Listed(Parameter):
    """The base of Choice, Boolean and Fixed, which list their values."""

    @property
    def _listed(self) -> tuple[Any, ...]:
        """The values as declared. Tuples, lists and dicts are objects here."""
        return _SWITCH

    @functools.cached_property
    def values(self) -> tuple[Scalar, ...]:
        """The values, in declared order. The tuple (64, 32) is spelled as the text "(64, 32)"."""
        return tuple(map(spelling, self._listed))

    @functools.cached_property
    def objects(self) -> frozenset[str]:
        """The texts in `values` that spell a tuple, list or dict."""
        return frozenset(repr(each) for each in self._listed if is_object(each))

    @functools.cached_property
    def _indices(self) -> dict[tuple[str, object], int]:
        return {identity(value): index for index, value in enumerate(self.values)}

    @property
    def count(self) -> int:
        """How many values there are."""
        return len(self.values)

    def reason_outside(self, value: object) -> str | None:
        """Returns why a value is not in the domain, or None. 1, 1.0 and True are three values."""
        if self._place(value) is not None:
            return None
        shown = ", ".join(map(repr, self._listed))
        near = near_match(value, [each for each in self.values if isinstance(each, str)])
        return f"{self.subject} must be one of {shown}. Received: {value!r}. {near}".rstrip()

    def index(self, value: Any) -> int:
        """Returns the index of a value in `values`."""
        place = self._place(value)
        if place is None:
            raise SearchSpaceError(self.reason_outside(value) or "")
        return place

    def opened(self, value: Any) -> Any:
        """Returns what a builder reads: the tuple (64, 32) for the value "(64, 32)"."""
        return (
            ast.literal_eval(value) if isinstance(value, str) and value in self.objects else value
        )

    def _place(self, value: object) -> int | None:
        """Returns a value's index, or None. A list may mean a tuple, as JSON has no tuples."""
        place = self._indices.get(identity(value))
        if place is not None or not self.objects or not is_object(value):
            return place
        try:
            content = json.dumps(value)
        except (TypeError, ValueError):
            return None
        places = [i for i, each in enumerate(self._listed) if json.dumps(each) == content]
        return places[0] if len(places) == 1 else None

    def canonical(self, value: Any) -> Scalar:
        """Returns the value as it was declared."""
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


@attrs_parameter
class Choice(Listed):
    """One of several values, whose order does not matter.

    Args:
        name: The parameter's name.
        values: Strings, ints, finite floats, booleans and None, in any mixture. 1, 1.0 and True are
            three values. A value may also be a tuple, list or dict of these. Then a builder reads
            the object, and records show its text, such as "(64, 32)".
        default: The value to begin with. If left out, the first value. (None is a value.)
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

    _given: Any = attrs.field(alias="values", converter=checked(_values))

    @property
    def _listed(self) -> tuple[Any, ...]:
        return tuple(self._given)

    def domain(self) -> dict[str, Any]:
        """Returns the values."""
        return self._with_objects({"values": list(self.values)})

    def _arguments(self) -> list[str]:
        return [repr(list(self._given))]


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
    """A value that does not vary, and is recorded with those that do.

    Args:
        name: The parameter's name.
        value: A string, an int, a finite float, a boolean or None; or a tuple, list or dict.
        when: The condition under which it is active. See `Parameter`.
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
    _given: Any = attrs.field(alias="value", converter=checked(_value))

    @property
    def value(self) -> Scalar:
        """The value. A tuple, list or dict is spelled as text."""
        return self.values[0]

    @property
    def _listed(self) -> tuple[Any, ...]:
        return (self._given,)

    def domain(self) -> dict[str, Any]:
        """Returns the value."""
        return self._with_objects({"value": self.value})

    def _arguments(self) -> list[str]:
        return [repr(self._given)]


_OPTIONAL: Final = ("when", "otherwise")
_KINDS: Final = {each.kind: each for each in (Float, Int, Choice, Boolean, Fixed)}


def parameter_from_dict(content: object) -> Parameter:
    """Returns the parameter that `Parameter.to_dict` wrote."""
    if not isinstance(content, Mapping):
        raise SearchSpaceError.of_setting("A parameter", "a JSON object", content)
    kind = choice("The kind of a parameter", content.get("kind"), _KINDS, SearchSpaceError)
    make: Any = _KINDS[kind]
    names = [field.alias for field in attrs.fields(make) if field.init]
    arguments: dict[str, Any] = {key: value for key, value in content.items() if key != "kind"}
    objects = arguments.pop("objects", ()) if make in (Choice, Fixed) else ()
    if make is Fixed:
        # `to_dict` writes these two for readers of the JSON. The constructor does not take them.
        arguments = {k: v for k, v in arguments.items() if k not in ("default", "role")}

    def opened(value: Any) -> Any:
        return ast.literal_eval(value) if isinstance(value, str) and value in objects else value

    if "value" in arguments:
        arguments["value"] = opened(arguments["value"])
    if isinstance(arguments.get("values"), list | tuple):
        arguments["values"] = [*map(opened, arguments["values"])]
    if not set(names).difference(_OPTIONAL) <= set(arguments) <= set(names):
        raise SearchSpaceError(
            f"A parameter of kind {kind!r} has {', '.join(map(repr, names))}, of which "
            f"{' and '.join(map(repr, _OPTIONAL))} may be missing",
            received=dict(content),
        )
    parameter: Parameter = make(**arguments)
    return parameter
