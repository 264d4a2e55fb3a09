"""The base class of all parameters, and the values that parameters may have.

A value is a JSON scalar: a string, an int, a float, a bool or None. 1, 1.0 and True are three
values. A choice may also list tuples, lists and dicts. Such a value is stored as its `repr`: the
tuple `(50,)` is the text "(50,)" for engines, in MLflow and on the command line. Only the model
builder gets the tuple.
"""

from __future__ import annotations

import abc
import ast
import enum
import functools
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import (
    Any,
    ClassVar,
    Final,
    Literal,
    Self,
    TypeAlias,
    TypedDict,
    TypeGuard,
    TypeVar,
    cast,
    dataclass_transform,
)

import attrs

from search_spaces.argument_checks import choice
from search_spaces.errors import SearchSpaceError
from search_spaces.texts import suggestion

Scalar: TypeAlias = str | int | float | bool | None
"""A JSON scalar. Floats are finite."""


class NotGiven(enum.Enum):
    """The type of `NOT_GIVEN`: an enum, because its member is the same object after pickling."""

    NOT_GIVEN = "not given"

    def __repr__(self) -> str:
        """Returns the name by which users import this object."""
        return "NOT_GIVEN"


NOT_GIVEN: Final = NotGiven.NOT_GIVEN
"""The default of arguments for which None is a value like any other."""

MaybeScalar: TypeAlias = Scalar | Literal[NotGiven.NOT_GIVEN]

Condition: TypeAlias = dict[str, tuple[Scalar, ...]]
"""The values that each parent may have, by the parent's name. The condition is met if every parent
has one of these values."""

Kind = TypeVar("Kind", bound="Parameter")

ROLES: Final = ("scientific", "nuisance", "fixed")
"""The purpose of a hyperparameter in a study.

The study measures the effect of *scientific* hyperparameters. *Nuisance* hyperparameters are tuned,
so that scientific ones are compared fairly. *Fixed* ones stay as they are. The words are those of
Google's Deep Learning Tuning Playbook (https://github.com/google-research/tuning_playbook,
"Identifying scientific, nuisance, and fixed hyperparameters").
"""


class Declared(TypedDict, total=False):
    """The options of every parameter, besides its domain."""

    default: Any
    role: str
    when: Mapping[str, object] | None
    otherwise: MaybeScalar


def checked(check: Callable[[Any, Any, Any], Any]) -> Any:
    """Returns the attrs converter that calls `check(value, parameter, field)`."""
    return attrs.Converter(check, takes_self=True, takes_field=True)


@dataclass_transform(eq_default=False, field_specifiers=(attrs.field,))
def attrs_parameter(kind: type[Kind]) -> type[Kind]:
    """Turns a class with attrs fields into a class of parameters."""
    defined = attrs.frozen(kind, eq=False, repr=False, slots=False)
    names = [field.alias for field in attrs.fields(cast(Any, defined)) if field.init]
    initialize: Any = defined.__init__

    @functools.wraps(initialize)
    def checked_init(self: Parameter, *args: object, **options: object) -> None:
        for name, value in options.items():
            if name not in names:
                raise _unknown(kind.__name__, name, value, names)
        initialize(self, *args, **options)

    defined.__init__ = checked_init  # type: ignore[method-assign]
    return defined


def _unknown(kind: str, name: str, value: object, names: Sequence[str]) -> SearchSpaceError:
    """Returns the error for an unknown argument, e.g. for Optuna's ``log=True``."""
    scale = f"scale={('log' if value is True else value)!r}" if value else "nothing"
    words = {"log": scale, "sampling": scale, "min_value": "low", "max_value": "high"}
    ours = words.get(name) if "low" in names else None
    hint = f"Write {ours} in its place." if ours else suggestion(name, names)
    return SearchSpaceError(f"{kind} has no argument {name!r}", received=value, hint=hint)


def _name(name: object, parameter: Parameter, field: object) -> str:
    expected = hint = ""
    if not isinstance(name, str):
        expected = "a string"
    elif not name:
        expected = "at least one character long"
    elif name != name.strip():
        expected, hint = "without a space at either end", f"Write {name.strip()!r}."
    elif "=" in name:
        expected = "without '=', which ends a name on the command line (--set name=value)"
    elif name.isprintable():
        return str.__str__(name)
    else:
        unprintable = next(character for character in name if not character.isprintable())
        expected, hint = "printable, on one line", f"Leave {unprintable!r} out."
    subject = f"The name of a {type(parameter).__name__}"
    raise SearchSpaceError.of_setting(subject, expected, name, hint)


def _role(role: object, parameter: Parameter, field: object) -> str:
    if role == "fixed":
        hint = f"A value that never varies is declared as Fixed({parameter.name!r}, value)."
        raise parameter.wrong("role", "'scientific' or 'nuisance'", role, hint)
    return choice(f"{parameter.subject}: role", role, ROLES[:2], SearchSpaceError)


def _condition(when: Any, parameter: Parameter, field: object) -> Condition:
    """Returns a condition with sorted parents and values. Empty for None."""
    if when is None:
        return {}
    if not isinstance(when, Mapping) or not all(isinstance(parent, str) for parent in when):
        raise parameter.wrong(
            "when",
            "a mapping of parents' names to values",
            when,
            "Write when={'optimizer': 'sgd'}, or when={'optimizer': ['sgd', 'rmsprop']}.",
        )
    return {p: _condition_values(when[p], p, parameter) for p in sorted(when)}


def _condition_values(condition: Any, parent: str, parameter: Parameter) -> tuple[Scalar, ...]:
    several = isinstance(condition, list | tuple | set | frozenset)
    values: Iterable[object] = condition if several else (condition,)
    setting = f"{parameter.subject}: the value of {parent!r} in when"
    scalars = (spelling(plain_value(value, setting)) for value in values)
    by_identity = {identity(value): value for value in scalars}
    if not by_identity:
        raise SearchSpaceError.of_setting(setting, "at least one value", condition)
    return tuple(by_identity[key] for key in sorted(by_identity))


def _otherwise(otherwise: object, parameter: Parameter, field: object) -> MaybeScalar:
    if otherwise is NOT_GIVEN:
        return NOT_GIVEN
    if not parameter.when:
        raise SearchSpaceError(
            f"{parameter.subject}: otherwise={otherwise!r} would never be read, as the parameter "
            f"is always active: give a condition with when=…, or leave otherwise out."
        )
    return plain_scalar(otherwise, f"{parameter.subject}: otherwise")


@attrs_parameter
class Parameter(abc.ABC):
    """A hyperparameter. It can't be changed.

    Two parameters are equal if everything that they declare is equal.

    Args:
        name: A non-empty string without `=`, control characters, or a space at either end.
        role: One of `ROLES`.
        when: The condition under which the parameter is active, such as `{"optimizer": "sgd"}`. For
            each parent, it has the allowed value, or a list, tuple or set of allowed values. The
            parameter is active if all parents are active and have allowed values.
        otherwise: The value that a builder reads while the parameter is not active.

    Attributes:
        name: The name in the space, in the builder and in every record.
        default: The value to begin with.
        role: One of `ROLES`.
        otherwise: The value that a builder reads while the parameter is not active, or `NOT_GIVEN`.

    Raises:
        SearchSpaceError: If an argument is wrong.
    """

    kind: ClassVar[str]
    """The kind's name in JSON and in messages."""

    name: str = attrs.field(converter=checked(_name))
    role: Any = attrs.field(default="nuisance", kw_only=True, converter=checked(_role))
    _condition: Any = attrs.field(
        default=None, kw_only=True, alias="when", converter=checked(_condition)
    )
    otherwise: MaybeScalar = attrs.field(
        default=NOT_GIVEN, kw_only=True, converter=checked(_otherwise)
    )
    default: Any = attrs.field(default=NOT_GIVEN, kw_only=True)

    def __attrs_post_init__(self) -> None:
        """Sets the default, which must be in the domain."""
        default = self._usual_default() if self.default is NOT_GIVEN else self.default
        self.validate(default, f"{self.subject}: default")
        self.__dict__["default"] = self.canonical(default)

    @property
    def subject(self) -> str:
        """The parameter in messages: `Float 'dropout'`."""
        return f"{type(self).__name__} {self.name!r}"

    def wrong(
        self, setting: str, expected: str, received: object, hint: str = ""
    ) -> SearchSpaceError:
        """Returns the error for a wrong argument of this parameter."""
        return SearchSpaceError.of_setting(f"{self.subject}: {setting}", expected, received, hint)

    @property
    def when(self) -> Mapping[str, tuple[Scalar, ...]]:
        """The condition: the values that each parent may have. Empty if there is none."""
        return MappingProxyType(self._condition)

    @property
    @abc.abstractmethod
    def count(self) -> int | None:
        """How many values the domain has. None if the domain is continuous."""

    @property
    @abc.abstractmethod
    def types(self) -> frozenset[type]:
        """The types of the values in the domain."""

    @abc.abstractmethod
    def _expected(self, value: Any) -> tuple[str, str] | None:
        """Returns what a wrong value must be, such as "from 0.0 to 0.5", and a hint for the error.

        Returns None if the value is in the domain.
        """

    @abc.abstractmethod
    def canonical(self, value: Any) -> Any:
        """Returns a value in the type that the domain has, e.g. `1.0` for `1` in a Float.

        Raises:
            SearchSpaceError: If the value is not in the domain.
        """

    @abc.abstractmethod
    def to_unit(self, value: Any) -> float:
        """Returns the coordinate of a value in the sampling scale, from 0 to 1.

        Each value of a choice has an equal share of the interval from 0 to 1. The same goes for
        numbers in even steps. The coordinate of such a value is the middle of the value's share.

        Raises:
            SearchSpaceError: If the value is not in the domain.
        """

    @abc.abstractmethod
    def from_unit(self, unit: float) -> Any:
        """Returns the value at a coordinate from 0 to 1, as the inverse of `to_unit`.

        For a continuous float, `from_unit(to_unit(value))` may differ from `value` by a rounding
        error. On a logarithmic scale, the error is at most 1e-12 of the value. On a linear scale,
        it is at most 1e-12 of the range's width.

        Raises:
            SearchSpaceError: If the coordinate is not a number from 0 to 1.
        """

    @abc.abstractmethod
    def grid_values(self) -> Sequence[Any] | None:
        """Returns all values in ascending or declared order. None if the domain is continuous."""

    @abc.abstractmethod
    def domain(self) -> dict[str, Any]:
        """Returns the domain in JSON's types, e.g. the values of a Choice."""

    @abc.abstractmethod
    def _arguments(self) -> list[str]:
        """Returns the arguments between the name and the default, as Python code for `repr`."""

    @abc.abstractmethod
    def _usual_default(self) -> Any:
        """Returns the default of a parameter that declares no default."""

    def contains(self, value: object) -> bool:
        """Returns whether a value is in the domain."""
        return self._expected(value) is None

    def validate(self, value: object, setting: str = "") -> None:
        """Checks that a value is in the domain.

        Args:
            value: The value.
            setting: A name of the value, for the text of the error. If empty, the error names the
                parameter, as in "Float 'dropout'".

        Raises:
            SearchSpaceError: If the value is outside the domain. The text says why.
        """
        expected = self._expected(value)
        if expected is not None:
            text, hint = expected
            raise SearchSpaceError.of_setting(setting or self.subject, text, value, hint)

    def opened(self, value: Any) -> Any:
        """Returns what a builder reads: the tuple (50,) for the value "(50,)" of a choice."""
        return value

    def _checked_unit(self, unit: Any) -> float:
        if is_number(unit) and 0.0 <= unit <= 1.0:
            return float(unit)
        raise self.wrong("a coordinate", "a number from 0 to 1", unit)

    def identity(self, value: Any) -> tuple[str, object]:
        """Returns a key that equal values share. In a Float, 1 and 1.0 are equal."""
        return identity(value)

    def conditioned(
        self, when: Mapping[str, Any] | None, otherwise: MaybeScalar = NOT_GIVEN
    ) -> Self:
        """Returns the parameter with this condition. If it is empty, `otherwise` is dropped."""
        return self._with(when=when or None, otherwise=otherwise if when else NOT_GIVEN)

    def renamed(self, name: str) -> Self:
        """Returns the same parameter under another name."""
        return self._with(name=name)

    def with_default(self, default: Any) -> Self:
        """Returns the same parameter with another default."""
        return self._with(default=default)

    def _with(self, **changes: Any) -> Self:
        # Type checkers don't see that `attrs_parameter` makes attrs classes.
        return attrs.evolve(self, **changes)  # type: ignore[misc]

    def to_dict(self) -> dict[str, Any]:
        """Returns all that the parameter declares, in JSON's types."""
        content: dict[str, Any] = {
            "kind": self.kind,
            "name": self.name,
            **self.domain(),
            "default": self.default,
            "role": self.role,
        }
        if self._condition:
            content["when"] = {parent: list(values) for parent, values in self._condition.items()}
        if self.otherwise is not NOT_GIVEN:
            content["otherwise"] = self.otherwise
        return content

    @functools.cached_property
    def _canonical(self) -> str:
        return canonical_json(self.to_dict())

    def __eq__(self, other: object) -> bool:
        """Returns whether the other parameter has the same declaration. 1, 1.0 and True differ."""
        if not isinstance(other, Parameter):
            return NotImplemented
        return self._canonical == other._canonical

    def __hash__(self) -> int:
        """Returns a hash of all that is declared."""
        return hash(self._canonical)

    def __repr__(self) -> str:
        """Returns the parameter as Python code that makes it."""
        arguments = [repr(self.name), *self._arguments()]
        if identity(self.default) != identity(self._usual_default()):
            arguments.append(f"default={self.opened(self.default)!r}")
        if self.role == "scientific":
            arguments.append(f"role={self.role!r}")
        if self._condition:
            when = {p: v[0] if len(v) == 1 else list(v) for p, v in self._condition.items()}
            arguments.append(f"when={when!r}")
        if self.otherwise is not NOT_GIVEN:
            arguments.append(f"otherwise={self.otherwise!r}")
        return f"{type(self).__name__}({', '.join(arguments)})"


def same_domain(one: Parameter, other: Parameter) -> bool:
    """Returns whether two parameters have the same values on the same scale."""
    return one.kind == other.kind and canonical_json(one.domain()) == canonical_json(other.domain())


def is_number(value: object) -> TypeGuard[float]:
    """Returns whether a value is an int or a float. Booleans are not numbers here."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_object(value: object) -> bool:
    """Returns whether a value is a tuple, list or dict."""
    return isinstance(value, tuple | list | dict)


def plain_scalar(value: object, setting: str) -> Scalar:
    """Returns a value as a str, int, float, bool or None.

    numpy's float64 and other subclasses become Python's types. Minus zero becomes zero, because the
    two are equal but print differently.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if not isinstance(value, float):
        raise SearchSpaceError.of_setting(
            setting,
            "a string, an int, a float, a bool or None",
            value,
            "Give a name or a number, and build the object from it in the model builder.",
        )
    if not math.isfinite(value):
        raise SearchSpaceError.of_setting(setting, "finite", value)
    return float(value) + 0.0


def plain_value(value: object, setting: str) -> Any:
    """Returns a scalar as `plain_scalar` does, or a tuple, list or dict of such scalars."""
    if type(value) in (tuple, list):
        return type(value)(plain_value(item, setting) for item in value)  # type: ignore[attr-defined, call-arg]
    if isinstance(value, dict):
        return {plain_value(k, setting): plain_value(v, setting) for k, v in value.items()}
    if is_object(value):
        raise SearchSpaceError.of_setting(
            setting, "a plain tuple, list or dict", value, "Convert it, as in tuple(value)."
        )
    return plain_scalar(without_numpy(value), setting)


def without_numpy(value: Any) -> Any:
    """Returns a numpy scalar as a Python number, without importing numpy.

    Returns other values as they are.
    """
    return value.item() if getattr(value, "ndim", None) == 0 and hasattr(value, "item") else value


def spelling(value: Any) -> Scalar:
    """Returns the `repr` of a tuple, list or dict, and a scalar as it is."""
    return repr(value) if is_object(value) else value


def read_object(text: str) -> Any:
    """Reads a tuple, list or dict from a text in Python or JSON. Returns None for other texts."""
    for read in (ast.literal_eval, json.loads):
        try:
            content = read(text.strip())
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
        if is_object(content):
            return content
    return None


def identity(value: object) -> tuple[str, object]:
    """Returns a key with the type and the value.

    1, 1.0 and True are equal in Python, but have different keys.
    """
    value = spelling(value)
    for plain in (bool, str, int, float, type(None)):
        if isinstance(value, plain):
            return plain.__name__, value
    return type(value).__name__, id(value)


def canonical_json(content: Any) -> str:
    """Returns the same JSON for the same content: keys sorted, no spaces, ASCII only."""
    return json.dumps(
        content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )
