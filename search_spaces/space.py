"""SearchSpace: the hyperparameters of a study, with their domains and conditions."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from search_spaces.conditions import (
    check_parents,
    condition_in_words,
    holds,
    parents_first,
    with_changes,
)
from search_spaces.errors import SearchSpaceError
from search_spaces.parameters import (
    NOT_GIVEN,
    Parameter,
    canonical_json,
    parameter_from_dict,
)
from search_spaces.space_changes import (
    check_known,
    fixed_at,
    fixed_others,
    replaced,
    unknown_name,
    value_of_type,
)
from search_spaces.texts import quoted

VERSION: Final = 1
"""The version of a space's JSON. Readers refuse other versions."""


class SearchSpace:
    """The hyperparameters of a study. A space can't be changed.

    A trial has a value for each *active* parameter. A parameter without a condition is always
    active. A parameter with a condition is active if all parents in the condition are active and
    have values that the condition allows.

    `only`, `fix`, `replace` and `with_parameters` return a new space for the same builder. In the
    new space, conditions fit the changed parents, and a parameter that could never be active is
    left out.

    Two spaces are equal if they declare the same parameters, in any order.

    Example:
        >>> space = ks.SearchSpace(
        ...     ks.Choice("optimizer", ["adam", "sgd"]),
        ...     ks.Float("momentum", 0.0, 0.9, when={"optimizer": "sgd"}),
        ... )
        >>> space.active({"optimizer": "adam"})
        ('optimizer',)
        >>> space.defaults()
        {'optimizer': 'adam'}
        >>> space.contains({"optimizer": "adam", "momentum": 0.5})
        False
    """

    def __init__(self, *parameters: Parameter | Iterable[Parameter]) -> None:
        """Declares the space.

        Args:
            *parameters: Parameters, and groups of them such as `l2()` returns.

        Raises:
            SearchSpaceError: If there are no parameters, if two have the same name, if a condition
                can't be met, or if conditions form a circle.
        """
        self._by_name = _declared(parameters)
        if not self._by_name:
            raise SearchSpaceError(
                "The search space is empty", hint="Give it a parameter, such as learning_rate()."
            )
        check_parents(self._by_name)
        self._parents_first = parents_first(self._by_name.values())

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The parameters, in declared order."""
        return tuple(self._by_name.values())

    @property
    def parents_first(self) -> tuple[Parameter, ...]:
        """The parameters in declared order, except that parents precede their children."""
        return self._parents_first

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the parameters, in declared order."""
        return tuple(self._by_name)

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The names of the parameters that are not Fixed, in declared order."""
        return tuple(parameter.name for parameter in self.parameters if parameter.role != "fixed")

    @property
    def conditional(self) -> bool:
        """Whether any parameter has a condition."""
        return any(parameter.when for parameter in self.parameters)

    @functools.cached_property
    def digest(self) -> str:
        """The SHA-256, in hex, of all that is declared: domains, conditions, defaults, roles.

        The digest is the same on every machine, and for every order of the parameters.
        """
        ordered = sorted(self.parameters, key=lambda parameter: parameter.name)
        content = {"version": VERSION, "parameters": [parameter.to_dict() for parameter in ordered]}
        return hashlib.sha256(canonical_json(content).encode("ascii")).hexdigest()

    def __getitem__(self, name: str) -> Parameter:
        """Returns the parameter of a name.

        Raises:
            SearchSpaceError: If no parameter has the name.
        """
        check_known(name, self._by_name)
        return self._by_name[name]

    def __contains__(self, name: object) -> bool:
        """Returns whether a parameter has the name."""
        return name in self._by_name

    def __len__(self) -> int:
        """Returns how many parameters there are."""
        return len(self.parameters)

    def __iter__(self) -> Iterator[Parameter]:
        """Iterates over the parameters, in declared order."""
        return iter(self.parameters)

    def __eq__(self, other: object) -> bool:
        """Returns whether the other space declares the same parameters, in any order."""
        if not isinstance(other, SearchSpace):
            return NotImplemented
        return self._by_name == other._by_name

    def __hash__(self) -> int:
        """Returns a hash of all that is declared."""
        return hash(frozenset(self.parameters))

    def __repr__(self) -> str:
        """Returns the space as Python code that makes it, with a line for each parameter."""
        lines = "".join(f"    {parameter!r},\n" for parameter in self.parameters)
        return f"SearchSpace(\n{lines})"

    def active(self, values: Mapping[str, Any]) -> tuple[str, ...]:
        """Returns which parameters are active.

        Args:
            values: Values by name, at least those of the parents. A parameter whose parent has no
                value counts as not active. Unknown names are ignored.

        Returns:
            The names of the active parameters, in declared order.
        """
        valid: dict[str, Any] = {}
        active = set()
        for parameter in self._parents_first:
            if holds(parameter, self._by_name, valid):
                name = parameter.name
                active.add(name)
                # A value outside the domain meets no condition. `validate` reports it.
                if name in values and parameter.contains(values[name]):
                    valid[name] = values[name]
        return tuple(name for name in self._by_name if name in active)

    def validate(self, values: Mapping[str, Any]) -> None:
        """Checks that values are in the space.

        Args:
            values: Values by name.

        Raises:
            SearchSpaceError: If a name is unknown, if a value is outside its domain, if an active
                parameter has no value, or if a parameter that is not active has one.
        """
        for name in values:
            if name not in self._by_name:
                raise unknown_name(name, self._by_name)
        active = self.active(values)
        for name in active:
            parameter = self._by_name[name]
            if name not in values:
                text = f"{parameter.subject} is active and has no value"
                raise SearchSpaceError(text, hint="Give one.")
            parameter.validate(values[name])
        for name in values:
            if name not in active:
                parameter = self._by_name[name]
                raise SearchSpaceError(
                    f"{parameter.subject} has the value {values[name]!r} and is not active: "
                    f"{condition_in_words(parameter)}",
                    hint="Leave it out.",
                )

    def contains(self, values: Mapping[str, Any]) -> bool:
        """Returns whether values are in the space. The error of `validate` says why not."""
        try:
            self.validate(values)
        except SearchSpaceError:
            return False
        return True

    def resolve(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Returns what a builder reads: the values, and `otherwise` of inactive parameters.

        Args:
            values: Values of the active parameters.

        Returns:
            The values in declared order, with the `otherwise` of inactive parameters. The value
            of a Float is a float: `1` becomes `1.0`.

        Raises:
            SearchSpaceError: If the values are not in the space.
        """
        self.validate(values)
        resolved: dict[str, Any] = {}
        for name, parameter in self._by_name.items():
            if name in values:
                resolved[name] = parameter.canonical(values[name])
            elif parameter.otherwise is not NOT_GIVEN:
                resolved[name] = parameter.otherwise
        return resolved

    def defaults(self) -> dict[str, Any]:
        """Returns the defaults of the parameters that are active with default values."""
        return of_active(self, lambda parameter: parameter.default)

    def to_unit(self, values: Mapping[str, Any]) -> dict[str, float]:
        """Returns the coordinates of values in the unit cube.

        Args:
            values: Values of the active parameters.

        Returns:
            A coordinate from 0 to 1 for each active parameter that varies, in declared order.

        Raises:
            SearchSpaceError: If the values are not in the space.
        """
        self.validate(values)
        varying = (name for name in self.dimensions if name in values)
        return {name: self._by_name[name].to_unit(values[name]) for name in varying}

    def from_unit(self, point: Mapping[str, float]) -> dict[str, Any]:
        """Returns the values at a point of the unit cube.

        Args:
            point: A coordinate from 0 to 1 for each of `dimensions`.

        Returns:
            The values of the parameters that are active there, in declared order.

        Raises:
            SearchSpaceError: If a coordinate is missing, unknown, or not from 0 to 1.
        """
        if point.keys() != set(self.dimensions):
            expected = f"a coordinate for each of {quoted(self.dimensions)}, active or not"
            raise SearchSpaceError.of_setting("A point", expected, dict(point))
        values = {name: self._by_name[name].from_unit(unit) for name, unit in point.items()}
        return of_active(self, lambda parameter: values.get(parameter.name, parameter.default))

    def only(self, *names: str) -> SearchSpace:
        """Returns the space in which only these parameters vary. Others are Fixed at defaults.

        Args:
            *names: The names of parameters, at least one. If a named parameter is not active with
                its parent's default, name the parent, too.

        Raises:
            SearchSpaceError: If no name is given, if a name is unknown, or if a named parameter is
                Fixed or could never be active.

        Example:
            >>> ks.SearchSpace(ks.dropout(), ks.units()).only("dropout")["units"]
            Fixed('units', 91)
        """
        others = fixed_others(names, self._by_name)
        return SearchSpace(with_changes(self._by_name, others, names))

    def fix(self, values: Mapping[str, object] | None = None, /, **named: object) -> SearchSpace:
        """Fixes parameters at values, as in `fix(momentum=0.9)`, and returns the new space.

        A value may lie outside the parameter's domain, but must have the type of a value in the
        domain. The conditions of these parameters stay.

        Args:
            values: Values by name, for names that are not Python identifiers, as in
                `fix({"units 1": 64})`.
            **named: Values by name.

        Raises:
            SearchSpaceError: If a name is unknown, if a value has another type, or if a parameter
                could never be active.

        Example:
            >>> ks.SearchSpace(ks.dropout(), ks.units()).fix(units=64).defaults()
            {'dropout': 0.25, 'units': 64}
        """
        new: dict[str, Parameter] = {}
        for name, value in {**(values or {}), **named}.items():
            parameter = self[name]
            new[name] = fixed_at(parameter, value_of_type(parameter, value))
        return SearchSpace(with_changes(self._by_name, new, new))

    def replace(self, *parameters: Parameter | Iterable[Parameter]) -> SearchSpace:
        """Replaces the parameters of the same names, and returns the new space.

        Args:
            *parameters: Parameters and groups of them. A parameter without a condition gets the
                condition of the parameter that it replaces. A parameter without an `otherwise` gets
                that of the parameter that it replaces. (`with_parameters` adds neither.)

        Raises:
            SearchSpaceError: If a name is unknown, or if one of these parameters could never be
                active.

        Example:
            >>> space = ks.SearchSpace(ks.dropout())
            >>> space.replace(ks.Float("dropout", 0.1, 0.3))["dropout"]
            Float('dropout', 0.1, 0.3)
        """
        declared = _declared(parameters)
        new = replaced(declared, self._by_name)
        conditioned = [name for name, parameter in declared.items() if parameter.when]
        return SearchSpace(with_changes(self._by_name, new, new, conditioned))

    def with_parameters(self, *parameters: Parameter | Iterable[Parameter]) -> SearchSpace:
        """Adds parameters, or replaces those of the same names, and returns the new space.

        Args:
            *parameters: Parameters and groups of them. Parameters with new names come last.

        Raises:
            SearchSpaceError: If the condition of one of these parameters can't be met.
        """
        new = _declared(parameters)
        return SearchSpace(with_changes(self._by_name, new, new, new))

    def grid(self) -> Iterator[dict[str, Any]]:
        """Returns an iterator over all configurations.

        The first parameter varies slowest, and a parent varies more slowly than its children.

        Returns:
            An iterator over dicts with values in declared order.

        Raises:
            SearchSpaceError: If a parameter is continuous. `grid` raises it, not the iterator.
        """
        continuous = [parameter.name for parameter in self.parameters if parameter.count is None]
        if continuous:
            raise SearchSpaceError(
                f"A grid needs finitely many values, and there is no step for {quoted(continuous)}",
                hint="Give a step, or a Choice.",
            )

        def extended(values: dict[str, Any], rest: Sequence[Parameter]) -> Iterator[dict[str, Any]]:
            if not rest:
                yield {name: values[name] for name in self._by_name if name in values}
            elif holds(rest[0], self._by_name, values):
                for value in rest[0].grid_values() or ():
                    yield from extended({**values, rest[0].name: value}, rest[1:])
            else:
                yield from extended(values, rest[1:])

        return extended({}, self._parents_first)

    def to_dict(self) -> dict[str, Any]:
        """Returns the space in JSON's types, with the version of its schema."""
        return {"version": VERSION, "parameters": [p.to_dict() for p in self.parameters]}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> SearchSpace:
        """Returns the space that `to_dict` wrote.

        Raises:
            SearchSpaceError: If another version of kerastudy wrote it.
        """
        version = content.get("version")
        if version != VERSION:
            hint = "Use the kerastudy that wrote it, or a newer one."
            raise SearchSpaceError.of_setting("A space's version", str(VERSION), version, hint)
        return cls(*map(parameter_from_dict, content["parameters"]))

    def differences(self, other: SearchSpace) -> list[str]:
        """Returns what changes from this space to the other.

        Args:
            other: The space to compare with.

        Returns:
            Sentences about parameters that are gone, are new, or differ. Empty for equal spaces.
        """
        old, new = self._by_name, other._by_name
        sentences = [f"{name!r} is gone; it was {old[name]!r}." for name in old if name not in new]
        sentences += [f"{name!r} is new: {new[name]!r}." for name in new if name not in old]
        for name, before in old.items():
            after = new.get(name, before)
            if before.kind != after.kind:
                sentences.append(f"{name!r} was {before!r}, and is now {after!r}.")
            elif before != after:
                was, now = before.to_dict(), after.to_dict()
                for key in dict.fromkeys([*was, *now]):
                    # 1, 1.0 and True are equal, but have different texts.
                    first, then = (repr(d[key]) if key in d else "not given" for d in (was, now))
                    if first != then:
                        sentences.append(f"{name!r}: {key} was {first}, and is now {then}.")
        return sentences


def complete(space: SearchSpace, values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a value for each active parameter: its value in `values`, else its default."""
    for name in values:
        check_known(name, space._by_name)
    return of_active(space, lambda p: p.canonical(values.get(p.name, p.default)))


def of_active(space: SearchSpace, value_of: Callable[[Parameter], Any]) -> dict[str, Any]:
    """Returns `value_of(parameter)` for each active parameter. Calls it for parents first."""
    values: dict[str, Any] = {}
    for parameter in space.parents_first:
        if holds(parameter, space._by_name, values):
            values[parameter.name] = value_of(parameter)
    return {name: values[name] for name in space.names if name in values}


def _declared(groups: Iterable[object]) -> dict[str, Parameter]:
    """Returns the parameters of nested groups by name, in declared order."""
    parameters: dict[str, Parameter] = {}
    for parameter in _flattened(groups):
        if parameter.name in parameters:
            first = parameters[parameter.name]
            raise SearchSpaceError(
                f"{first.name!r} is declared twice, as {first!r} and as {parameter!r}",
                hint="Give one of them another name.",
            )
        parameters[parameter.name] = parameter
    return parameters


def _flattened(groups: Iterable[object]) -> Iterator[Parameter]:
    for item in groups:
        if isinstance(item, Parameter):
            yield item
        elif isinstance(item, Iterable) and not isinstance(item, str | bytes | Mapping):
            yield from _flattened(item)
        else:
            hint = "Declare it with Float, Int, Choice, Boolean or Fixed."
            raise SearchSpaceError(
                "A search space takes parameters and groups of them", received=item, hint=hint
            )
