"""SearchSpace: the hyperparameters of a study, with their domains and conditions."""

from __future__ import annotations

import functools
import graphlib
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from search_spaces import alterations
from search_spaces.alterations import unknown_name
from search_spaces.argument_checks import known_name
from search_spaces.errors import SearchSpaceError, suggestion
from search_spaces.parameters.base import Parameter, condition_in_words
from search_spaces.parameters.choices import parameter_from_dict
from search_spaces.parameters.values import NOT_GIVEN, canonical_json


# Not a dataclass: importing `dataclasses` takes as long as importing all of this package.
class Containment(NamedTuple):
    """The answer of `SearchSpace.contains`. It is true or false, and has the reason.

    Attributes:
        reason: Why the values are not in the space; empty if they are.
    """

    reason: str = ""

    def __bool__(self) -> bool:
        """Returns whether the values are in the space."""
        return not self.reason


VERSION: Final = 1
"""The version of the JSON. Readers refuse other versions."""


class SearchSpace:
    """The parameters of a study, by name, in declared order. A space can't be changed.

    A trial has a value for each *active* parameter. A parameter without a condition is always
    active. A parameter with a condition is active if all its parents are active and have values
    that the condition allows. Two spaces are equal if they declare the same, in any order.

    `only`, `fix`, `replace` and `with_parameters` return a new space for the same builder. In the
    new space, conditions fit the changed parents, and a parameter that could never be active is
    left out.

    Example:
        >>> space = ks.SearchSpace(
        ...     ks.Choice("optimizer", ["adam", "sgd"]),
        ...     ks.Float("momentum", 0.0, 0.9, when={"optimizer": "sgd"}),
        ... )
        >>> space.active({"optimizer": "adam"})
        ('optimizer',)
        >>> space.defaults()
        {'optimizer': 'adam'}
        >>> bool(space.contains({"optimizer": "adam", "momentum": 0.5}))
        False
    """

    def __init__(self, *parameters: Parameter | Iterable[Parameter]) -> None:
        """Declares the space.

        Args:
            *parameters: Parameters, and groups of them such as `l2()` returns.

        Raises:
            SearchSpaceError: If there are none, if two have the same name, if a condition can't be
                met, or if conditions form a circle.
        """
        self._by_name = alterations.declared(parameters)
        if not self._by_name:
            raise SearchSpaceError(
                "The search space is empty: give at least one parameter, such as learning_rate()."
            )
        check_parents(self._by_name)
        self._parameters = tuple(self._by_name.values())
        self._ordered = parents_first(self._parameters)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The parameters, as declared."""
        return self._parameters

    @property
    def parents_first(self) -> tuple[Parameter, ...]:
        """The parameters in declared order, but parents before their children."""
        return self._ordered

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the parameters, as declared."""
        return tuple(self._by_name)

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The names of all parameters that are not Fixed, as declared."""
        return tuple(each.name for each in self._parameters if each.role != "fixed")

    @property
    def conditional(self) -> bool:
        """Whether any parameter has a condition."""
        return any(parameter.when for parameter in self._parameters)

    @functools.cached_property
    def digest(self) -> str:
        """The SHA-256, in hex, of all that is declared: domains, conditions, defaults, roles.

        It is the same on every machine and in every order of declaration.
        """
        ordered = sorted(self._parameters, key=lambda parameter: parameter.name)
        content = {"version": VERSION, "parameters": [each.to_dict() for each in ordered]}
        return hashlib.sha256(canonical_json(content).encode("ascii")).hexdigest()

    def __getitem__(self, name: str) -> Parameter:
        """Returns the parameter of that name.

        Raises:
            SearchSpaceError: If there is none, with the nearest names.
        """
        if name not in self._by_name:
            raise SearchSpaceError(unknown_name(name, self._by_name))
        return self._by_name[name]

    def __contains__(self, name: object) -> bool:
        """Returns whether there is a parameter of that name."""
        return name in self._by_name

    def __len__(self) -> int:
        """Returns how many parameters there are."""
        return len(self._parameters)

    def __iter__(self) -> Iterator[Parameter]:
        """Returns the parameters, as declared."""
        return iter(self._parameters)

    def __eq__(self, other: object) -> bool:
        """Returns whether the other declares the same parameters, in any order."""
        if not isinstance(other, SearchSpace):
            return NotImplemented
        return self._by_name == other._by_name

    def __hash__(self) -> int:
        """Returns a hash of all that is declared."""
        return hash(frozenset(self._parameters))

    def __repr__(self) -> str:
        """Returns the space as Python code that makes it, with a line for each parameter."""
        lines = "".join(f"    {parameter!r},\n" for parameter in self._parameters)
        return f"SearchSpace(\n{lines})"

    def active(self, values: Mapping[str, Any]) -> tuple[str, ...]:
        """Returns which parameters are active.

        Args:
            values: The values of the parents, at least. A child is not active if its parent has no
                value here. Unknown names are ignored.

        Returns:
            The names of the active parameters, as declared.
        """
        valid: dict[str, Any] = {}
        active = set()
        for parameter in self._ordered:
            if holds(parameter, self._by_name, valid):
                name = parameter.name
                active.add(name)
                # A value outside the domain meets no condition. `contains` reports it.
                if name in values and parameter.contains(values[name]):
                    valid[name] = values[name]
        return tuple(name for name in self._by_name if name in active)

    def contains(self, values: Mapping[str, Any]) -> Containment:
        """Returns whether values are in the space.

        Args:
            values: Values by name.

        Returns:
            True, or False with the `reason`: an unknown name, a value outside its domain, an
            active parameter without a value, or a value for one that is not active.
        """
        for name in values:
            if name not in self._by_name:
                return Containment(unknown_name(name, self._by_name))
        active = self.active(values)
        for name in active:
            parameter = self._by_name[name]
            if name not in values:
                return Containment(f"{parameter.subject} is active and has no value: give one.")
            reason = parameter.reason_outside(values[name])
            if reason is not None:
                return Containment(reason)
        for name in values:
            if name not in active:
                parameter = self._by_name[name]
                return Containment(
                    f"{parameter.subject} has the value {values[name]!r} and is not active: "
                    f"{condition_in_words(parameter)}. Leave it out."
                )
        return Containment()

    def validate(self, values: Mapping[str, Any]) -> None:
        """Checks that values are in the space.

        Args:
            values: Values by name.

        Raises:
            SearchSpaceError: If they are not, with the reason.
        """
        containment = self.contains(values)
        if not containment:
            raise SearchSpaceError(containment.reason)

    def resolve(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Returns what a builder reads: the values, and `otherwise` of inactive parameters.

        Args:
            values: Values of the active parameters.

        Returns:
            The values in declared order, with `otherwise` for each inactive parameter that has one.
            A Float has a float: `1` becomes `1.0`.

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
        """Returns the default values of the parameters that are active by default, as declared."""
        values = {parameter.name: parameter.default for parameter in self._parameters}
        return {name: values[name] for name in self.active(values)}

    def to_unit(self, values: Mapping[str, Any]) -> dict[str, float]:
        """Returns the coordinates of values in the unit cube.

        Args:
            values: Values of the active parameters.

        Returns:
            A coordinate from 0 to 1 for each active parameter that varies, as declared.

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
            The values of the parameters that are active there, as declared.

        Raises:
            SearchSpaceError: If a coordinate is missing, unknown, or not from 0 to 1.
        """
        for name in point:
            known_name("dimension of the space", name, self.dimensions, SearchSpaceError)
        if missing := [name for name in self.dimensions if name not in point]:
            raise SearchSpaceError(
                f"The point has no coordinate for {missing[0]!r}",
                received=dict(point),
                hint="Give one for each of the space's dimensions, active or not.",
            )
        values = {
            name: parameter.from_unit(point[name]) if name in point else parameter.default
            for name, parameter in self._by_name.items()
        }
        return {name: values[name] for name in self.active(values)}

    def only(self, *names: str) -> SearchSpace:
        """Returns the space in which only these parameters vary. Others are Fixed at defaults.

        Args:
            *names: The names of parameters, at least one. Name their parents, too, unless the
                parents' defaults make them active.

        Raises:
            SearchSpaceError: If no name is given, if a name is unknown or that of a Fixed
                parameter, or if a named parameter could never be active.

        Example:
            >>> ks.SearchSpace(ks.dropout(), ks.units()).only("dropout")["units"]
            Fixed('units', 91)
        """
        others = alterations.fixed_others(names, self._by_name)
        return SearchSpace(alterations.altered(self._by_name, others, names))

    def fix(self, values: Mapping[str, object] | None = None, /, **named: object) -> SearchSpace:
        """Returns the space with values Fixed: `fix(momentum=0.9)`, `fix({"units 1": 64})`.

        A value may lie outside the domain, but must have a type that the parameter takes. The
        parameter keeps its condition.

        Args:
            values: Values by name, for names that are not Python identifiers.
            **named: Values by name.

        Raises:
            SearchSpaceError: If a name is unknown or given twice, if a value has another type, or
                if a parameter could never be active.

        Example:
            >>> ks.SearchSpace(ks.dropout(), ks.units()).fix(units=64).defaults()
            {'dropout': 0.25, 'units': 64}
        """
        by_name = dict(values or {})
        for name, value in named.items():
            if name in by_name:
                raise SearchSpaceError(
                    f"{name!r} is fixed twice, at {by_name[name]!r} and at {value!r}: give one."
                )
        new = alterations.fixed({**by_name, **named}, self._by_name)
        return SearchSpace(alterations.altered(self._by_name, new, new))

    def replace(self, *parameters: Parameter | Iterable[Parameter]) -> SearchSpace:
        """Returns the space with these parameters in place of those of the same names.

        Args:
            *parameters: Parameters and groups of them. A parameter without a condition or an
                `otherwise` keeps that of the parameter that it replaces. (With `with_parameters`,
                it does not.)

        Raises:
            SearchSpaceError: If a name is unknown, or if one of these parameters could never be
                active.

        Example:
            >>> space = ks.SearchSpace(ks.dropout())
            >>> space.replace(ks.Float("dropout", 0.1, 0.3))["dropout"]
            Float('dropout', 0.1, 0.3)
        """
        declared = alterations.declared(parameters)
        new = alterations.replaced(declared, self._by_name)
        conditioned = [name for name, parameter in declared.items() if parameter.when]
        return SearchSpace(alterations.altered(self._by_name, new, new, conditioned))

    def with_parameters(self, *parameters: Parameter | Iterable[Parameter]) -> SearchSpace:
        """Returns the space with these parameters added, or in place of those of the same names.

        Args:
            *parameters: Parameters and groups of them. Those with new names come last.

        Raises:
            SearchSpaceError: If the condition of one of them can't be met in the new space.
        """
        new = alterations.declared(parameters)
        return SearchSpace(alterations.altered(self._by_name, new, new, new))

    def grid(self) -> Iterator[dict[str, Any]]:
        """Returns an iterator over all configurations.

        The first parameter varies slowest, and a parent varies more slowly than its children.

        Returns:
            An iterator of dicts, each with values in declared order.

        Raises:
            SearchSpaceError: If a parameter is continuous. The call raises it, not the iterator.
        """
        continuous = [each.name for each in self._parameters if each.count is None]
        if continuous:
            raise SearchSpaceError(
                f"A grid needs finitely many values, and {', '.join(map(repr, continuous))} "
                f"{'is' if len(continuous) == 1 else 'are'} continuous: give a step, or a Choice."
            )

        def complete(index: int, values: dict[str, Any]) -> Iterator[dict[str, Any]]:
            if index == len(self._ordered):
                yield {name: values[name] for name in self._by_name if name in values}
                return
            parameter = self._ordered[index]
            if not holds(parameter, self._by_name, values):
                yield from complete(index + 1, values)
                return
            for value in parameter.grid_values() or ():
                yield from complete(index + 1, {**values, parameter.name: value})

        return complete(0, {})

    def to_dict(self) -> dict[str, Any]:
        """Returns the space in JSON's types, with the version of its schema."""
        return {"version": VERSION, "parameters": [each.to_dict() for each in self._parameters]}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> SearchSpace:
        """Returns the space that `to_dict` wrote.

        Raises:
            SearchSpaceError: If its version is unknown, or if something is missing or wrong.
        """
        if not isinstance(content, Mapping):
            raise SearchSpaceError.of_setting("A search space", "a JSON object", content)
        version, parameters = content.get("version"), content.get("parameters")
        if version != VERSION or isinstance(version, bool):
            hint = "Use the kerastudy that wrote it, or a newer one."
            raise SearchSpaceError.of_setting("A space's version", str(VERSION), version, hint)
        if set(content) != {"version", "parameters"} or not isinstance(parameters, list | tuple):
            expected = "an object of 'version' and a list of 'parameters'"
            raise SearchSpaceError.of_setting("A search space", expected, dict(content))
        return cls(*map(parameter_from_dict, parameters))

    def to_json(self) -> str:
        """Returns the space as JSON, in declared order. Types are kept: `1.0` is not `1`."""
        return canonical_json(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> SearchSpace:
        """Returns the space that `to_json` wrote.

        Raises:
            SearchSpaceError: If it is not JSON, or not a space, or of an unknown version.
        """
        try:
            content = json.loads(text)
        except (ValueError, TypeError, RecursionError) as error:
            raise SearchSpaceError(
                f"A search space could not be read from JSON: {error}",
                received=text,
                hint="Was the file cut short, or edited?",
            ) from error
        return cls.from_dict(content)

    def differences(self, other: SearchSpace) -> list[str]:
        """Returns what changes from this space to the other.

        Args:
            other: The space that this one is compared with.

        Returns:
            Sentences: what is gone, what is new, what changed and how. Empty if they are equal.
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
                    # repr distinguishes 1, 1.0 and True, unlike ==.
                    first, then = (repr(d[key]) if key in d else "not given" for d in (was, now))
                    if first != then:
                        sentences.append(f"{name!r}: {key} was {first}, and is now {then}.")
        return sentences


def complete(space: SearchSpace, values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a value for each active parameter: the given value, else the default."""
    by_name = {parameter.name: parameter for parameter in space}
    for name in values:
        if name not in by_name:
            raise SearchSpaceError(unknown_name(name, by_name))
    completed: dict[str, Any] = {}
    for parameter in space.parents_first:
        if holds(parameter, by_name, completed):
            value = values.get(parameter.name, parameter.default)
            completed[parameter.name] = parameter.canonical(value)
    return {name: completed[name] for name in by_name if name in completed}


def holds(
    parameter: Parameter, parents: Mapping[str, Parameter], active: Mapping[str, Any]
) -> bool:
    """Returns whether a parameter is active. `active` has the values of the active parents."""
    for name, values in parameter.when.items():
        if name not in active:
            return False
        parent = parents[name]
        if parent.identity(active[name]) not in map(parent.identity, values):
            return False
    return True


def check_parents(parameters: Mapping[str, Parameter]) -> None:
    """Checks every condition of a space against the parents that it names."""
    for parameter in parameters.values():
        for name, values in parameter.when.items():
            if name not in parameters:
                others = [other for other in parameters if other != parameter.name]
                raise SearchSpaceError(
                    f"{parameter.subject}: its condition names {name!r}, which is not in the "
                    f"space. {suggestion(name, others)}"
                )
            reasons = {value: parameters[name].reason_outside(value) for value in values}
            for value, reason in reasons.items():
                if reason is not None:
                    condition = f"its condition {name!r}: {value!r} can't be met"
                    raise SearchSpaceError(f"{parameter.subject}: {condition}. {reason}")


def parents_first(parameters: Sequence[Parameter]) -> tuple[Parameter, ...]:
    """Returns the parameters in declared order, but parents before their children."""
    try:
        graphlib.TopologicalSorter({each.name: each.when for each in parameters}).prepare()
    except graphlib.CycleError as error:
        circle = " depends on ".join(map(repr, reversed(error.args[1])))
        raise SearchSpaceError(
            f"Conditions form a circle, so none of these could ever be decided: {circle}. Take one "
            f"of the conditions away."
        ) from None
    waiting = list(parameters)
    placed: dict[str, Parameter] = {}
    while waiting:
        # Placing the first one that is ready keeps the declared order as far as possible.
        ready = next(each for each in waiting if all(name in placed for name in each.when))
        placed[ready.name] = ready
        waiting.remove(ready)
    return tuple(placed.values())
