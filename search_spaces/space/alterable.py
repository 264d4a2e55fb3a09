"""Alterable: a space from its arguments; one space made from another, for the same builder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Self

from search_spaces.errors import SearchSpaceError
from search_spaces.parameters.parameter import Parameter
from search_spaces.space import alterations


class Alterable:
    """The part of SearchSpace that makes other spaces of it.

    Every method returns a new space. All treat the children of an altered parameter alike. A child
    that can't be active any more is dropped; if it has an `otherwise`, it becomes Fixed at that
    value, so that a builder reads the same as before. A condition that is always met is removed.
    See `alterations`.
    """

    _by_name: dict[str, Parameter]

    def __init__(self, *parameters: Parameter | Iterable[Parameter]) -> None:
        self._by_name = declared(parameters)

    def only(self, *names: str) -> Self:
        """Returns the space in which only these vary, all others Fixed at their defaults.

        Args:
            *names: The names of parameters, at least one. Parents must be named too, unless their
                defaults make a named child active.

        Raises:
            SearchSpaceError: If a name is unknown, with near matches, or that of a Fixed parameter;
                if none is given; if one could never be active.

        Example:
            >>> ks.SearchSpace(ks.dropout(), ks.units()).only("dropout")["units"]
            Fixed('units', 91)
        """
        others = alterations.fixed_others(names, self._by_name)
        return type(self)(alterations.altered(self._by_name, others, names))

    def fix(self, values: Mapping[str, object] | None = None, /, **named: object) -> Self:
        """Returns the space with values Fixed: `fix(momentum=0.9)`, `fix({"units 1": 64})`.

        A value may lie outside the domain, as you ask for it explicitly, but must be of the
        parameter's kind: see `alterations.value_of_kind`. A parameter keeps its condition.

        Args:
            values: Values by name, for names that are no identifiers of Python.
            **named: Values by name.

        Raises:
            SearchSpaceError: If a name is unknown, with near matches, or given twice; if a value is
                of another kind; if a parameter could never be active.

        Example:
            >>> ks.SearchSpace(ks.dropout(), ks.units()).fix(units=64).defaults()
            {'dropout': 0.25, 'units': 64}
        """
        given = dict(values or {})
        for name, value in named.items():
            if name in given:
                raise SearchSpaceError(
                    f"{name!r} is fixed twice, at {given[name]!r} and at {value!r}: give one."
                )
        new = alterations.fixed({**given, **named}, self._by_name)
        return type(self)(alterations.altered(self._by_name, new, new))

    def replace(self, *parameters: Parameter | Iterable[Parameter]) -> Self:
        """Returns the space with these declarations in place of those of the same names.

        Args:
            *parameters: Parameters and groups of them. One without a condition keeps the condition
                of the one that it replaces, and one without `otherwise` its `otherwise`; all else
                is as declared here. (`with_parameters` keeps nothing.)

        Raises:
            SearchSpaceError: If a name is unknown, with near matches; if a parameter given here
                could never be active.

        Example:
            >>> space = ks.SearchSpace(ks.dropout())
            >>> space.replace(ks.Float("dropout", 0.1, 0.3))["dropout"]
            Float('dropout', 0.1, 0.3)
        """
        given = declared(parameters)
        new = alterations.replaced(given, self._by_name)
        conditioned = [name for name, parameter in given.items() if parameter.when]
        return type(self)(alterations.altered(self._by_name, new, new, conditioned))

    def with_parameters(self, *parameters: Parameter | Iterable[Parameter]) -> Self:
        """Returns the space with these added, or put in place of those of their names.

        Args:
            *parameters: Parameters and groups of them; those with new names come last.

        Raises:
            SearchSpaceError: If the condition of one can't be met in the new space.
        """
        new = declared(parameters)
        return type(self)(alterations.altered(self._by_name, new, new, new))


def declared(given: Iterable[object]) -> dict[str, Parameter]:
    """Returns the parameters by name, in the order in which they were given.

    Raises:
        SearchSpaceError: If something is no parameter, or if two have the same name.
    """
    by_name: dict[str, Parameter] = {}
    for parameter in _flattened(given):
        if parameter.name in by_name:
            raise SearchSpaceError(
                f"{parameter.name!r} is declared twice, as {by_name[parameter.name]!r} and as "
                f"{parameter!r}: give one of them another name."
            )
        by_name[parameter.name] = parameter
    return by_name


def _flattened(given: Iterable[object]) -> Iterator[Parameter]:
    for each in given:
        if isinstance(each, Parameter):
            yield each
        elif isinstance(each, Iterable) and not isinstance(each, str | bytes | Mapping):
            yield from _flattened(each)
        else:
            raise SearchSpaceError(
                f"A search space takes parameters and groups of them, received {each!r} of type "
                f"{type(each).__name__}: declare it with Float, Int, Choice, Boolean or Fixed."
            )
