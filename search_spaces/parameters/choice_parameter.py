"""Choice, Boolean and Fixed: parameters whose values are listed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Unpack

from search_spaces.errors import SearchSpaceError
from search_spaces.parameters import spelled
from search_spaces.parameters.parameter import Declared, Parameter, Role
from search_spaces.parameters.scalars import (
    NOT_GIVEN,
    MaybeScalar,
    Scalar,
    identity,
    is_object,
    plain_scalar,
)
from search_spaces.parameters.scales import check_unit
from search_spaces.suggestions import near_match


class Listed(Parameter):
    """What Choice, Boolean and Fixed share: a tuple of values, distinguished by type and content.

    Attributes:
        values: The values of the domain, in declared order; tuples, lists and dicts as `spelled`.
        objects: Those of the values that spell a tuple, list or dict.
    """

    values: tuple[Scalar, ...]
    objects: frozenset[str] = frozenset()
    _indices: dict[tuple[str, object], int]

    @property
    def count(self) -> int:
        """How many values there are."""
        return len(self.values)

    def reason_outside(self, value: object) -> str | None:
        """Returns why a value is not in the domain; None if it is. `1`, `1.0` and `True` differ."""
        if self._place(value) is not None:
            return None
        shown = ", ".join(repr(self.opened(each)) for each in self.values)
        near = near_match(value, [each for each in self.values if isinstance(each, str)])
        return (
            f"{self.subject} must be one of {shown}; received {value!r} of type "
            f"{type(value).__name__}. {near}".rstrip()
        )

    def index(self, value: Any) -> int:
        """Returns the index of a value in `values`.

        Raises:
            SearchSpaceError: If the value is not in the domain.
        """
        self.validate(value)
        place = self._place(value)
        assert place is not None, "it is in the domain"
        return place

    def opened(self, value: Any) -> Any:
        """Returns what a builder reads for a value: a new object if the value spells one."""
        return spelled.opened(value) if isinstance(value, str) and value in self.objects else value

    def _place(self, value: object) -> int | None:
        """Returns the index of a value; a list stands for its tuple, as JSON has no tuples."""
        found = self._indices.get(identity(value))
        if found is None and self.objects and is_object(value):
            spelling = spelled.meant(value, self.objects)
            return None if spelling is None else self._indices[identity(spelling)]
        return found

    def canonical(self, value: Any) -> Scalar:
        """Returns the value as it was declared."""
        return self.values[self.index(value)]

    def to_unit(self, value: Any) -> float:
        """Returns the middle of the value's share of [0, 1]; all shares are equal."""
        return (self.index(value) + 0.5) / self.count

    def from_unit(self, unit: float) -> Scalar:
        """Returns the value whose share of [0, 1] the coordinate lies in."""
        return self.values[min(int(check_unit(unit, self.subject) * self.count), self.count - 1)]

    def grid_values(self) -> tuple[Scalar, ...]:
        """Returns all values, in declared order."""
        return self.values

    def _spelled(self, values: Iterable[object], what: str) -> tuple[Scalar, ...]:
        """Returns values as the parameter holds them; notes which of them spell an object."""
        held: list[Scalar] = []
        objects = set()
        for value in values:
            if is_object(value):
                objects.add(spelled.spell(value, f"{self.subject}: {what}"))
                held.append(spelled.spell(value, f"{self.subject}: {what}"))
            else:
                held.append(plain_scalar(value, f"{self.subject}: {what}"))
        self._set("objects", frozenset(objects))
        return tuple(held)

    def _with_objects(self, domain: dict[str, Any]) -> dict[str, Any]:
        """Returns what the domain is made of, with the spellings among it where there are any."""
        return {**domain, "objects": sorted(self.objects)} if self.objects else domain

    def _set_values(self, values: tuple[Scalar, ...]) -> None:
        self._set("values", values)
        self._set("_indices", {identity(value): index for index, value in enumerate(values)})


class Choice(Listed):
    """One of several values that have no order, or none to rely on.

    Example:
        >>> ks.Choice("optimizer", ["adam", "sgd"]).default
        'adam'
        >>> ks.Choice("hidden", [(64,), (64, 32)]).values
        ('(64,)', '(64, 32)')
    """

    kind: ClassVar[str] = "choice"

    def __init__(
        self,
        name: str,
        values: Iterable[Any],
        *,
        default: Any = NOT_GIVEN,
        **declared: Unpack[Declared],
    ) -> None:
        """Declares the parameter.

        Args:
            name: What it is called.
            values: Strings, ints, finite floats, booleans and None, in any mixture. Types are
                kept: `1`, `1.0` and `True` are three different values. Also tuples, lists and
                dicts of such, which are recorded as Python writes them.
            default: The value to begin with. Left out: the first.
            **declared: `role`, `when` and `otherwise`; see `Parameter`.

        Raises:
            SearchSpaceError: If there are no values, or one twice, or one that JSON can't hold,
                or if anything else is wrong.
        """
        super().__init__(name, **declared)
        self._set_values(self._checked_values(values))
        self._finish(self.values[0] if default is NOT_GIVEN else default)

    def domain(self) -> dict[str, Any]:
        """Returns the values."""
        return self._with_objects({"values": list(self.values)})

    def _arguments(self) -> list[str]:
        arguments = [repr([self.opened(value) for value in self.values])]
        if self.index(self.default) != 0:
            arguments.append(f"default={self.opened(self.default)!r}")
        return arguments

    def _checked_values(self, given: object) -> tuple[Scalar, ...]:
        # A string is iterable too, and its letters are never what was meant; a set has no order,
        # and would make another space in every process.
        if not isinstance(given, Iterable) or isinstance(
            given, str | bytes | Mapping | set | frozenset
        ):
            raise SearchSpaceError(
                f"{self.subject}: values must be a list or a tuple, received {given!r} of type "
                f"{type(given).__name__}: write [value, value, …]."
            )
        values = self._spelled(given, "a value")
        if not values:
            raise SearchSpaceError(
                f"{self.subject}: values must not be empty, received {given!r}: give at least one."
            )
        seen: set[tuple[str, object]] = set()
        for value in values:
            if identity(value) in seen:
                raise SearchSpaceError(
                    f"{self.subject}: {value!r} is listed twice in {list(values)!r}: list it once."
                )
            seen.add(identity(value))
        return values


class Boolean(Listed):
    """A switch: False or True.

    Example:
        >>> ks.Boolean("batchnorm").values
        (False, True)
    """

    kind: ClassVar[str] = "boolean"

    default: bool

    def __init__(self, name: str, *, default: bool = False, **declared: Unpack[Declared]) -> None:
        """Declares the parameter.

        Args:
            name: What it is called.
            default: The value to begin with.
            **declared: `role`, `when` and `otherwise`; see `Parameter`.

        Raises:
            SearchSpaceError: If any of them is wrong.
        """
        super().__init__(name, **declared)
        self._set_values((False, True))
        self._finish(default)

    def domain(self) -> dict[str, Any]:
        """Returns nothing: the values are always False and True."""
        return {}

    def _arguments(self) -> list[str]:
        return [f"default={self.default!r}"] if self.default else []


class Fixed(Listed):
    """A value that does not vary, declared so that it is recorded with those that do.

    Example:
        >>> ks.Fixed("activation", "relu").value
        'relu'
    """

    kind: ClassVar[str] = "fixed"

    value: Scalar

    def __init__(
        self,
        name: str,
        value: Any,
        *,
        when: Mapping[str, object] | None = None,
        otherwise: MaybeScalar = NOT_GIVEN,
    ) -> None:
        """Declares the parameter.

        Args:
            name: What it is called.
            value: A string, an int, a finite float, a boolean or None; or a tuple, list or dict.
            when: The condition under which it is active; see `Parameter`.
            otherwise: What a builder reads while it is not active.

        Raises:
            SearchSpaceError: If any of them is wrong.
        """
        super().__init__(name, role="fixed", when=when, otherwise=otherwise)
        self._set("value", self._spelled([value], "the value")[0])
        self._set_values((self.value,))
        self._finish(self.value)

    def domain(self) -> dict[str, Any]:
        """Returns the value."""
        return self._with_objects({"value": self.value})

    def _arguments(self) -> list[str]:
        return [repr(self.opened(self.value))]

    def _usual_role(self) -> Role:
        return "fixed"
