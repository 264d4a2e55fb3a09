"""The `hp` of a traced build: it notes what is declared, by key, with chosen values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from search_spaces.errors import HyperparameterError
from search_spaces.inline.inline_declarations import InlineDeclarations
from search_spaces.inline.readable_values import opened_again
from search_spaces.inline.variants import read_as
from search_spaces.parameters.conditions import holds
from search_spaces.parameters.parameter import Parameter
from search_spaces.parameters.scalars import NOT_GIVEN, Scalar
from search_spaces.space.search_space import SearchSpace
from search_spaces.suggestions import suggestion

if TYPE_CHECKING:
    from search_spaces.discovery.tracing import Tracer

Occurrence = dict[str, tuple[Scalar, ...]]
"""The conditional scopes around a declaration: parents, each with the values that it may have."""


class TracedHyperparameters(InlineDeclarations):
    """The `hp` of a traced build: chosen values for what is declared, defaults for the rest.

    Attributes:
        traced: What was declared so far, by key, with its values.
    """

    def __init__(
        self, tracer: Tracer, assignment: Mapping[str, Any], *, recorded: bool = True
    ) -> None:
        """Begins a build.

        Args:
            tracer: Notes declarations.
            assignment: Values by key. What is not among them has its default.
            recorded: Whether declarations are noted.
        """
        super().__init__({})
        self._tracer, self._assignment, self._recorded = tracer, assignment, recorded
        self.traced: dict[str, Any] = {}
        self._keys: dict[str, str] = {}
        if tracer.space is not None and recorded:
            self._declare_space(tracer.space)

    @property
    def number(self) -> int:
        """0, as for a study's first trial."""
        return 0

    @property
    def params(self) -> dict[str, Any]:
        """What was declared so far, with its values."""
        return self.values

    def copy(self) -> TracedHyperparameters:
        """Returns a copy: what is declared on it does not join the space."""
        copied = TracedHyperparameters(self._tracer, self._assignment, recorded=False)
        copied._readable = dict(self._readable)
        copied._declared = dict(self._declared)
        copied._out_of_scope = dict(self._out_of_scope)
        copied._keys = dict(self._keys)
        copied.traced = dict(self.traced)
        return copied

    def _declare_space(self, space: SearchSpace) -> None:
        """Declares the given space, as if the builder did so first."""
        by_name = {parameter.name: parameter for parameter in space}
        for parameter in space.parents_first:
            name, bare = parameter.name, parameter.conditioned({})
            visible = name if read_as(name) in by_name else read_as(name)
            self._tracer.declare(bare, dict(parameter.when))
            if holds(parameter, by_name, self.traced):
                self._take(visible, name, bare)
                self._declared[visible] = bare
            elif visible not in self._declared:
                self._out_of_scope.setdefault(visible, bare)
                if parameter.otherwise is not NOT_GIVEN:
                    self._readable.setdefault(visible, parameter.otherwise)

    def _take(self, name: str, key: str, parameter: Parameter) -> None:
        """Gives a parameter its value, by the name by which a builder reads it."""
        first = self._tracer.parameters.get(key, parameter)
        value = self._assignment.get(key, first.default)
        value = first.canonical(value) if first.contains(value) else first.default
        self._keys[name], self.traced[key] = key, value
        self._readable[name] = first.opened(value)

    def _known(self, name: str) -> bool:
        """Returns whether the given space declares a name."""
        space = self._tracer.space
        return space is not None and any(name in (n, read_as(n)) for n in space.names)

    def _declare(self, parameter: Parameter) -> Any:
        name = parameter.name
        if self._known(name):
            # The space's declaration holds. Where that is not active, the builder's own default.
            if not all(scope.met for scope in self._scopes):
                return None
            if name in self._keys:
                return opened_again(self._readable[name])
            return parameter.opened(parameter.default)
        if self._recorded:
            self._tracer.declare(parameter, self._occurrence())
        return super()._declare(parameter)

    def _declared_again(self, before: Parameter, now: Parameter) -> None:
        if self._recorded and now.name not in self._tracer.merged:
            self._tracer.clashes.add(now.name)

    def _value_of(self, parameter: Parameter) -> Any:
        if parameter.name not in self._keys:
            key = self._tracer.key_of(parameter) or parameter.name
            self._take(parameter.name, key, parameter)
        return opened_again(self._readable[parameter.name])

    def _standing(self, name: str) -> tuple[Parameter | None, Any]:
        if name in self._keys:
            key = self._keys[name]
            return self._tracer.parameters.get(key, self._declared[name]), self.traced[key]
        return self._out_of_scope.get(name), NOT_GIVEN

    def _unreadable(self, name: str) -> HyperparameterError:
        known = [*self._declared, *self._out_of_scope]
        return HyperparameterError(
            f"{name!r} is read where it has not been declared: declare it first, in every case in "
            f"which it is read, or use hp.get({name!r}), which then returns None. "
            f"{suggestion(name, known)}"
        )

    def _occurrence(self) -> Occurrence:
        occurrence: Occurrence = {}
        for scope in self._scopes:
            parent = self._key_of_parent(scope.parent)
            within = occurrence.get(parent, scope.values)
            occurrence[parent] = tuple(each for each in scope.values if each in within)
        return occurrence

    def _key_of_parent(self, name: str) -> str:
        if name in self._keys:
            return self._keys[name]
        declared = self._out_of_scope.get(name)
        return (self._tracer.key_of(declared) if declared is not None else None) or name
