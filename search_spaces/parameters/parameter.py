"""What all parameters have in common: a name, a domain, a default, a role, a condition."""

from __future__ import annotations

import abc
import unicodedata
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Final, Literal, TypeAlias, TypedDict

from search_spaces.errors import SearchSpaceError, UnchangeableError
from search_spaces.parameters.conditions import Condition, check_condition
from search_spaces.parameters.scalars import (
    NOT_GIVEN,
    MaybeScalar,
    Scalar,
    canonical_json,
    identity,
    plain_scalar,
)
from search_spaces.suggestions import suggestion

Role: TypeAlias = Literal["scientific", "nuisance", "fixed"]

ROLES: Final[tuple[Role, ...]] = ("scientific", "nuisance", "fixed")
"""The purpose of a hyperparameter in a study, in the words of Google's Deep Learning Tuning
Playbook (https://github.com/google-research/tuning_playbook, "Identifying scientific, nuisance, and
fixed hyperparameters"): the study measures the effect of *scientific* ones, *nuisance* ones must be
tuned to compare the scientific ones fairly, *fixed* ones stay as they are."""


class Declared(TypedDict, total=False):
    """What every parameter may declare, besides its domain and its default; see `Parameter`."""

    role: str
    when: Mapping[str, object] | None
    otherwise: MaybeScalar


class Parameter(abc.ABC):
    """A hyperparameter: an immutable value that compares by all that it declares.

    Attributes:
        name: What it is called, in the space, in the builder and in every record.
        default: The value to begin with; always in the domain.
        role: One of `ROLES`.
        otherwise: What a builder reads while the parameter is not active; `NOT_GIVEN` if nothing.
    """

    kind: ClassVar[str]
    """What the parameter is called in JSON and in messages."""

    name: str
    default: Any
    role: Role
    otherwise: MaybeScalar
    _condition: Condition
    _canonical: str

    def __init__(
        self,
        name: str,
        *,
        role: str = "nuisance",
        when: Mapping[str, object] | None = None,
        otherwise: MaybeScalar = NOT_GIVEN,
    ) -> None:
        """Checks and sets what all parameters share; a subclass then sets its domain.

        Args:
            name: A non-empty string; no `=`, no control characters, no space at either end.
            role: One of `ROLES`.
            when: Under which condition the parameter is active: parent names, each with the value
                or the values (list, tuple, set) that the parent must have. All must hold.
            otherwise: What a builder reads while the parameter is not active.

        Raises:
            SearchSpaceError: If any of them is wrong.
        """
        self._set("name", _checked_name(name, type(self).__name__))
        self._set("role", self._checked_role(role))
        self._set("_condition", check_condition(when, self.subject))
        if otherwise is not NOT_GIVEN:
            if not self._condition:
                raise SearchSpaceError(
                    f"{self.subject}: otherwise={otherwise!r} would never be read, for the "
                    f"parameter is always active: give a condition with when=…, or leave it out."
                )
            otherwise = plain_scalar(otherwise, f"{self.subject}: otherwise")
        self._set("otherwise", otherwise)

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
        """Returns the arguments after the name, as they would be written in Python."""

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

    def canonical(self, value: Any) -> Any:
        """Returns a value of the domain as the domain spells it: for a Float, `1` as `1.0`.

        Raises:
            SearchSpaceError: If the value is not in the domain.
        """
        self.validate(value)
        return value

    def opened(self, value: Any) -> Any:
        """Returns what a builder reads for a value: a tuple for its spelling, see `spelled`.

        Args:
            value: A value of the domain, or another one, which is returned unchanged.
        """
        return value

    def identity(self, value: Any) -> tuple[str, object]:
        """Returns a key that is the same for two spellings of the same value of this domain."""
        return identity(value)

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
        if self.role not in ("nuisance", self._usual_role()):
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

    def __setattr__(self, attribute: str, value: object) -> None:
        """Refuses: a parameter is a value.

        Raises:
            UnchangeableError: Always.
        """
        raise UnchangeableError(
            f"{self.subject} can't be changed ({attribute}={value!r}): make a new parameter."
        )

    def __delattr__(self, attribute: str) -> None:
        """Refuses: a parameter is a value.

        Raises:
            UnchangeableError: Always.
        """
        raise UnchangeableError(f"{self.subject} can't lose its {attribute}: make a new parameter.")

    def _set(self, attribute: str, value: object) -> None:
        """Sets an attribute while the parameter is being made."""
        object.__setattr__(self, attribute, value)

    def _finish(self, default: object) -> None:
        """Sets the default, once the domain is known, and seals the parameter.

        Raises:
            SearchSpaceError: If it is not in the domain.
        """
        reason = self.reason_outside(default)
        if reason is not None:
            raise SearchSpaceError(f"{reason} It was given as the default: give one in the domain.")
        self._set("default", self.canonical(default))
        self._set("_canonical", canonical_json(self.to_dict()))

    def _usual_role(self) -> Role:
        return "nuisance"

    def _checked_role(self, role: object) -> Role:
        searched = ROLES[:2]
        if role == "fixed" and self._usual_role() != "fixed":
            raise SearchSpaceError(
                f"{self.subject}: role={role!r} is for parameters that don't vary: declare it as "
                f"Fixed({self.name!r}, value), or choose from 'scientific' and 'nuisance'."
            )
        for known in ROLES:
            if role == known:
                return known
        raise SearchSpaceError(
            f"{self.subject}: unknown role {role!r}. {suggestion(role, searched)}"
        )


def _checked_name(name: object, kind: str) -> str:
    if not isinstance(name, str):
        raise SearchSpaceError(
            f"The name of a {kind} must be a string, received {name!r} of type "
            f"{type(name).__name__}: give the name first."
        )
    if not name:
        raise SearchSpaceError(f"The name of a {kind} must not be empty, received {name!r}.")
    if name != name.strip():
        raise SearchSpaceError(
            f"The name of a {kind} must not begin or end with a space, received {name!r}: "
            f"write {name.strip()!r}."
        )
    if "=" in name:
        raise SearchSpaceError(
            f"The name of a {kind} must not hold '=', which separates name and value on the "
            f"command line (--set name=value), received {name!r}."
        )
    # Cc: control characters, Cs: lone surrogates (no file can hold them), Zl, Zp: line ends.
    wrong = [char for char in name if unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp")]
    if wrong:
        raise SearchSpaceError(
            f"The name of a {kind} must be printable, on one line; received {name!r}, which holds "
            f"{wrong[0]!r}: leave it out."
        )
    return str.__str__(name)
