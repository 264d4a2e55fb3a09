"""What all parameters share: a name, a domain, a default, a role, a condition."""

from __future__ import annotations

import abc
import functools
import unicodedata
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
    TypeVar,
    dataclass_transform,
)

import attrs

from search_spaces.errors import SearchSpaceError, UnchangeableError, suggestion
from search_spaces.parameters.scalars import (
    NOT_GIVEN,
    MaybeScalar,
    Scalar,
    canonical_json,
    identity,
    is_number,
    is_object,
    plain_scalar,
    plain_value,
)

Condition: TypeAlias = dict[str, tuple[Scalar, ...]]
"""Parent names, each with the values that it may have. All parents must match."""

Role: TypeAlias = Literal["scientific", "nuisance", "fixed"]

Kind = TypeVar("Kind", bound="Parameter")

ROLES: Final[tuple[Role, ...]] = ("scientific", "nuisance", "fixed")
"""The purpose of a hyperparameter in a study, in the words of Google's Deep Learning Tuning
Playbook (https://github.com/google-research/tuning_playbook, "Identifying scientific, nuisance, and
fixed hyperparameters"): the study measures the effect of *scientific* ones, *nuisance* ones must be
tuned to compare the scientific ones fairly, *fixed* ones stay as they are."""


class Declared(TypedDict, total=False):
    """What every parameter may declare, besides its domain and its default."""

    role: str
    when: Mapping[str, object] | None
    otherwise: MaybeScalar


def checked(check: Callable[[Any, Any, Any], Any]) -> Any:
    """Returns the attrs converter that checks what was given: `check(value, parameter, field)`."""
    return attrs.Converter(check, takes_self=True, takes_field=True)


@dataclass_transform(eq_default=False, field_specifiers=(attrs.field,))
def attrs_parameter(kind: type[Kind]) -> type[Kind]:
    """Makes a class of parameters of its fields."""
    made = attrs.define(kind, eq=False, repr=False, slots=False, on_setattr=attrs.setters.frozen)
    # What attrs refuses in fewer words, and of fields alone.
    made.__setattr__ = _refuse  # type: ignore[assignment, method-assign]
    return made


def _refuse(parameter: Parameter, attribute: str, value: object) -> None:
    raise UnchangeableError(
        f"{parameter.subject} can't be changed ({attribute}={value!r}): make a new parameter."
    )


def _name(name: object, parameter: Parameter, field: object) -> str:
    kind = type(parameter).__name__
    if not isinstance(name, str):
        raise SearchSpaceError(
            f"The name of a {kind} must be a string, received {name!r} of type "
            f"{type(name).__name__}: give the name first."
        )
    # Cc: control characters, Cs: lone surrogates (no file can hold them), Zl, Zp: line ends.
    odd = [char for char in name if unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp")]
    wrong = ""
    if not name:
        wrong = "must not be empty, received ''."
    elif name != name.strip():
        wrong = f"must not begin or end with a space, received {name!r}: write {name.strip()!r}."
    elif "=" in name:
        wrong = (
            f"must not hold '=', which separates name and value on the command line "
            f"(--set name=value), received {name!r}."
        )
    elif odd:
        wrong = (
            f"must be printable, on one line; received {name!r}, which holds {odd[0]!r}: leave "
            f"it out."
        )
    if wrong:
        raise SearchSpaceError(f"The name of a {kind} {wrong}")
    return str.__str__(name)


def _role(role: object, parameter: Parameter, field: object) -> Any:
    if role == "fixed":
        raise SearchSpaceError(
            f"{parameter.subject}: role={role!r} is for parameters that don't vary: declare it as "
            f"Fixed({parameter.name!r}, value), or choose from 'scientific' and 'nuisance'."
        )
    if role not in ROLES:
        raise SearchSpaceError(
            f"{parameter.subject}: unknown role {role!r}. {suggestion(role, ROLES[:2])}"
        )
    return ROLES[ROLES.index(role)]


def _condition(when: object, parameter: Parameter, field: object) -> Condition:
    """Returns a condition in its one spelling: parents and values sorted; empty for None."""
    subject = parameter.subject
    if when is None:
        return {}
    if not isinstance(when, Mapping):
        raise SearchSpaceError(
            f"{subject}: when must map parent names to values, received {when!r}: write "
            f"when={{'optimizer': 'sgd'}}, or when={{'optimizer': ['sgd', 'rmsprop']}}."
        )
    condition: Condition = {}
    for parent in sorted(when, key=repr):
        if not isinstance(parent, str):
            raise SearchSpaceError(
                f"{subject}: a condition names its parent by a string, received {parent!r} in "
                f"when={dict(when)!r}."
            )
        condition[parent] = _condition_values(when[parent], parent, subject)
    return condition


def _condition_values(condition: Any, parent: str, subject: str) -> tuple[Scalar, ...]:
    several = isinstance(condition, list | tuple | set | frozenset)
    values: Iterable[object] = condition if several else (condition,)
    what = f"{subject}: the value of {parent!r} in when"
    plain = (plain_value(each, what) for each in values)
    spelled = (repr(each) if is_object(each) else each for each in plain)
    by_identity = {identity(value): value for value in spelled}
    if not by_identity:
        raise SearchSpaceError(
            f"{subject}: when gives no value for {parent!r}, received {condition!r}: it would "
            f"never be active. Give at least one value."
        )
    return tuple(by_identity[key] for key in sorted(by_identity))


def _otherwise(otherwise: object, parameter: Parameter, field: object) -> MaybeScalar:
    if otherwise is NOT_GIVEN:
        return NOT_GIVEN
    if not parameter.when:
        raise SearchSpaceError(
            f"{parameter.subject}: otherwise={otherwise!r} would never be read, for the parameter "
            f"is always active: give a condition with when=…, or leave it out."
        )
    return plain_scalar(otherwise, f"{parameter.subject}: otherwise")


# Type checkers don't see that `attrs_parameter` makes classes of attrs.
_evolved: Callable[..., Any] = attrs.evolve


@attrs_parameter
class Parameter(abc.ABC):
    """A hyperparameter: an immutable value that compares by all that it declares.

    Args:
        name: A non-empty string; no `=`, no control characters, no space at either end.
        role: One of `ROLES`.
        when: Under which condition the parameter is active: parent names, each with the value
            or the values (list, tuple, set) that the parent must have. All must hold.
        otherwise: What a builder reads while the parameter is not active.

    Attributes:
        name: What it is called, in the space, in the builder and in every record.
        default: The value to begin with; always in the domain.
        role: One of `ROLES`.
        otherwise: What a builder reads while the parameter is not active; `NOT_GIVEN` if nothing.

    Raises:
        SearchSpaceError: If any of them is wrong.
    """

    kind: ClassVar[str]
    """What the parameter is called in JSON and in messages."""

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
        """Sets the default, once the domain is known."""
        default = self._usual_default() if self.default is NOT_GIVEN else self.default
        reason = self.reason_outside(default)
        if reason is not None:
            raise SearchSpaceError(f"{reason} It was given as the default: give one in the domain.")
        self.__dict__["default"] = self.canonical(default)

    @property
    def subject(self) -> str:
        """How messages call the parameter: `Float 'dropout'`."""
        return f"{type(self).__name__} {self.name!r}"

    @property
    def when(self) -> Mapping[str, tuple[Scalar, ...]]:
        """The condition: parent names, each with the values that it may have. Empty if none."""
        return MappingProxyType(self._condition)

    @property
    @abc.abstractmethod
    def count(self) -> int | None:
        """How many values the domain has; None if it is continuous."""

    @abc.abstractmethod
    def reason_outside(self, value: object) -> str | None:
        """Returns why a value is not in the domain, as a sentence that quotes it; None if it is."""

    @abc.abstractmethod
    def canonical(self, value: Any) -> Any:
        """Returns a value of the domain as the domain spells it: for a Float, `1` as `1.0`.

        Raises:
            SearchSpaceError: If the value is not in the domain.
        """

    @abc.abstractmethod
    def to_unit(self, value: Any) -> float:
        """Returns the coordinate of a value, from 0 to 1, in the sampling scale.

        Values of a grid, ints and choices have an equal share each of the sampling scale, and
        their coordinate is the middle of that share.

        Raises:
            SearchSpaceError: If the value is not in the domain.
        """

    @abc.abstractmethod
    def from_unit(self, unit: float) -> Any:
        """Returns the value at a coordinate from 0 to 1: the inverse of `to_unit`.

        A value of a grid, an int or a choice comes back unchanged. A continuous float comes back
        within 1e-12 of itself on a logarithmic scale, of the width of its range on a linear one.

        Raises:
            SearchSpaceError: If the coordinate is not a number from 0 to 1.
        """

    @abc.abstractmethod
    def grid_values(self) -> Sequence[Any] | None:
        """Returns all values in ascending or declared order; None if the domain is continuous."""

    @abc.abstractmethod
    def domain(self) -> dict[str, Any]:
        """Returns the domain in JSON's types, without name, default, role, condition."""

    @abc.abstractmethod
    def _arguments(self) -> list[str]:
        """Returns the domain as the arguments after the name would be written in Python."""

    @abc.abstractmethod
    def _usual_default(self) -> Any:
        """Returns the default where none is given."""

    def contains(self, value: object) -> bool:
        """Returns whether a value is in the domain."""
        return self.reason_outside(value) is None

    def validate(self, value: object) -> None:
        """Does nothing if a value is in the domain.

        Raises:
            SearchSpaceError: If it is not, with the reason.
        """
        reason = self.reason_outside(value)
        if reason is not None:
            raise SearchSpaceError(reason)

    def opened(self, value: Any) -> Any:
        """Returns what a builder reads for a value: a tuple for its spelling, else the value."""
        return value

    def _checked_unit(self, unit: object) -> float:
        if isinstance(unit, int | float) and is_number(unit) and 0.0 <= unit <= 1.0:
            return float(unit)
        raise SearchSpaceError(
            f"{self.subject}: a coordinate must be a number from 0 to 1, received {unit!r}."
        )

    def identity(self, value: Any) -> tuple[str, object]:
        """Returns a key that is the same for two spellings of the same value of this domain."""
        return identity(value)

    def conditioned(
        self, when: Mapping[str, Any] | None, otherwise: MaybeScalar = NOT_GIVEN
    ) -> Self:
        """Returns the same parameter under this condition; without one, nothing reads otherwise."""
        otherwise = otherwise if when else NOT_GIVEN
        made: Self = _evolved(self, when=when or None, otherwise=otherwise)
        return made

    def renamed(self, name: str) -> Self:
        """Returns the same parameter under another name."""
        made: Self = _evolved(self, name=name)
        return made

    def with_default(self, default: Any) -> Self:
        """Returns the same parameter with another default."""
        made: Self = _evolved(self, default=default)
        return made

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
        """Returns whether the other declares the same; `1`, `1.0` and `True` differ here."""
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
            shown = {
                parent: values[0] if len(values) == 1 else list(values)
                for parent, values in self._condition.items()
            }
            arguments.append(f"when={shown!r}")
        if self.otherwise is not NOT_GIVEN:
            arguments.append(f"otherwise={self.otherwise!r}")
        return f"{type(self).__name__}({', '.join(arguments)})"

    def __delattr__(self, attribute: str) -> None:
        """Refuses: a parameter is a value.

        Raises:
            UnchangeableError: Always.
        """
        raise UnchangeableError(f"{self.subject} can't lose its {attribute}: make a new parameter.")


def condition_in_words(parameter: Parameter) -> str:
    """When a parameter is active: "'momentum' is active when 'optimizer' is 'sgd'"."""
    if not parameter.when:
        return f"{parameter.name!r} is always active"
    parts = [
        f"{parent!r} is {' or '.join(repr(value) for value in values)}"
        for parent, values in parameter.when.items()
    ]
    return f"{parameter.name!r} is active when {' and '.join(parts)}"
