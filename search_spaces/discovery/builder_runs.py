"""Runs a builder on chosen values, and notes its declarations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, Self

from search_spaces.conditions import holds
from search_spaces.declarations import holding_all, read_as, same_domain
from search_spaces.errors import HyperparameterError, InternalError, SearchSpaceError, suggestion
from search_spaces.hp import InlineDeclarations, opened_again
from search_spaces.parameters.base import Parameter
from search_spaces.parameters.values import NOT_GIVEN, Scalar
from search_spaces.space import SearchSpace

_SHOWN_VALUES: Final = 6
_MOST_VARIANTS: Final = 6
"""A name with more domains becomes one parameter. Probably its bounds depend on another number, as
in `hp.Int("units_2", 8, units_1)`."""

Occurrence = dict[str, tuple[Scalar, ...]]
"""The conditional scopes around a declaration: the values of each parent."""

Key = tuple[str, object]
"""A value with its type, as `Parameter.identity` returns it."""


class Trace(NamedTuple):
    """One build.

    Attributes:
        values: The values of the parameters that the build declared, in order.
        keys: The keys of these values.
        error: The text of the error that was raised, or None.
    """

    values: dict[str, Any]
    keys: dict[str, Key]
    error: str | None


class LimitReachedError(InternalError):
    """The allowed number of builds is reached."""


class ClashError(InternalError):
    """The domains of the names in `Tracer.clashes` must be merged."""


class Tracer:
    """Runs a builder on chosen values, never twice on the same values.

    If the builder declares "units" with two domains, there are two parameters here, "units" and
    "units ⟨2⟩". These names are the keys of `parameters` and `occurrences`.

    Attributes:
        space: The space declared outside the builder, or None. It overrides the builder's domains.
        merged: Parameters by the builder's name, each with one domain for all its declarations.
        parameters: The parameters declared so far, as first declared, without conditions.
        occurrences: The different conditional scopes around each parameter's declarations.
        variants: The keys of the parameters that the builder declares under one name.
        clashes: Names whose domains must be merged.
        widened: Whether one of `merged` got wider.
        traces: The builds so far.
        first_error: The first exception that a build raised.
    """

    def __init__(
        self,
        build: Callable[[Any], object],
        before: Callable[[], object] | None,
        limit: int,
        stops: Callable[[Exception], bool],
        space: SearchSpace | None = None,
        merged: Mapping[str, Parameter] | None = None,
    ) -> None:
        self._build, self._before, self._limit, self._stops = build, before, limit, stops
        self.space = space
        self.merged = dict(merged or {})
        self.parameters: dict[str, Parameter] = {}
        self.occurrences: dict[str, list[Occurrence]] = {}
        self.variants: dict[str, list[str]] = {}
        self.clashes: set[str] = set()
        self.widened = False
        self.traces: list[Trace] = []
        self.first_error: Exception | None = None

    def key(self, name: str, value: Any) -> Key:
        """Returns a parameter's value as a key."""
        return self.parameters[name].identity(value)

    def keys(self, name: str, values: tuple[Scalar, ...]) -> set[Key]:
        """Returns a parameter's values as keys."""
        return {self.key(name, value) for value in values}

    def known(self, assignment: Mapping[str, Any]) -> Trace | None:
        """Returns an earlier build that got these values, and defaults for the rest, or None.

        Only the values of parameters that the build declared are compared.
        """
        keys = {n: self.key(n, assignment.get(n, p.default)) for n, p in self.parameters.items()}
        return next((t for t in reversed(self.traces) if t.keys.items() <= keys.items()), None)

    def run(self, assignment: Mapping[str, Any]) -> Trace:
        """Returns the build with these values, and defaults for the rest. Runs it if it is new."""
        trace = self.known(assignment)
        if trace is not None:
            return trace
        if len(self.traces) >= self._limit:
            raise LimitReachedError
        if self._before is not None:
            self._before()
        hp = TracedHyperparameters(self, assignment)
        error = None
        try:
            self._build(hp)
        except SearchSpaceError:
            raise  # A wrong declaration stays wrong with other values.
        except Exception as raised:
            if self._stops(raised):
                raise
            error = f"{type(raised).__name__}: {raised}".removesuffix(".")
            self.first_error = self.first_error or raised
        if self.clashes:
            raise ClashError
        keys = {name: self.key(name, value) for name, value in hp.traced.items()}
        self.traces.append(Trace(hp.traced, keys, error))
        return self.traces[-1]

    def declare(self, parameter: Parameter, occurrence: Occurrence) -> None:
        """Notes a declaration, and the conditional scopes around it."""
        name, kept = parameter.name, self.name_of(parameter)
        if kept is None:
            others = self.variants.setdefault(name, [])
            kept = f"{name} ⟨{len(others) + 1}⟩" if others else name
            self.parameters[kept] = self.merged.get(name, parameter).renamed(kept)
            others.append(kept)
            if len(others) > _MOST_VARIANTS:
                self.clashes.add(name)
        if name in self.merged:
            wider = self._one([self.parameters[name], parameter])
            if wider != self.parameters[name]:
                self.parameters[name] = self.merged[name] = wider
                self.widened = True
        occurrences = self.occurrences.setdefault(kept, [])
        if occurrence not in occurrences:
            occurrences.append(occurrence)

    def name_of(self, parameter: Parameter) -> str | None:
        """Returns the key of the parameter with this name and domain. None if it is new."""
        name = parameter.name
        if name in self.merged:
            return name if name in self.parameters else None
        for kept in self.variants.get(name, [name] if name in self.parameters else []):
            if same_domain(self.parameters[kept], parameter):
                return kept
        return None

    def declared_as(self, kept: str) -> str:
        """Returns the builder's name of a parameter: "units" for the key "units ⟨2⟩"."""
        return next((name for name, all_ in self.variants.items() if kept in all_), read_as(kept))

    def one_domain(self, name: str) -> Parameter:
        """Returns one parameter for all domains that a name was declared with."""
        return self._one([self.parameters[kept].renamed(name) for kept in self.variants[name]])

    def _one(self, declared: list[Parameter]) -> Parameter:
        domain = holding_all(declared)
        if domain is None:
            raise SearchSpaceError(
                f"{declared[1].name!r} is declared twice with different domains, as "
                f"{declared[0]!r} and as {declared[1]!r}: give one of them another name, or "
                f"declare it in a name_scope, or give both one domain."
            )
        return domain

    def notes(self) -> list[str]:
        """Returns a sentence for each error that builds raised, with values that raised it."""
        raised: dict[str, list[Trace]] = {}
        for trace in self.traces:
            if trace.error is not None:
                raised.setdefault(trace.error, []).append(trace)
        return [
            f"The builder raised {error} with {self._in_words(traces[0])}"
            + (f", and in {len(traces) - 1} more of the builds" if len(traces) > 1 else "")
            + ": such trials are infeasible."
            for error, traces in raised.items()
        ]

    def _in_words(self, trace: Trace) -> str:
        different = [
            f"{self.declared_as(name)}={self.parameters[name].opened(trace.values[name])!r}"
            for name, key in trace.keys.items()
            if key != self.key(name, self.parameters[name].default)
        ]
        shown = ", ".join(different[:_SHOWN_VALUES]) + (", …" if different[_SHOWN_VALUES:] else "")
        return f"{shown} and otherwise defaults" if shown else "its defaults"


class TracedHyperparameters(InlineDeclarations):
    """The `hp` of a traced build. Parameters without a chosen value have their defaults.

    Attributes:
        traced: The values of the parameters declared so far, by the tracer's keys.
    """

    def __init__(self, tracer: Tracer, assignment: Mapping[str, Any]) -> None:
        super().__init__({})
        self._tracer, self._assignment, self._recorded = tracer, assignment, True
        self.traced: dict[str, Any] = {}
        # The tracer's key of each name that the builder can read.
        self._kept: dict[str, str] = {}
        if tracer.space is not None:
            self._declare_space(tracer.space)

    @property
    def number(self) -> int:
        """0, as for a study's first trial."""
        return 0

    @property
    def params(self) -> dict[str, Any]:
        """The values of all declarations so far."""
        return self.values

    def copy(self) -> Self:
        """Returns a copy. Declarations on the copy do not join the space."""
        copied = super().copy()
        copied._recorded = False
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

    def _take(self, name: str, kept: str, parameter: Parameter) -> None:
        """Gives a parameter its value, and makes it readable under the builder's name."""
        first = self._tracer.parameters.get(kept, parameter)
        value = self._assignment.get(kept, first.default)
        value = first.canonical(value) if first.contains(value) else first.default
        self._kept[name], self.traced[kept] = kept, value
        self._readable[name] = first.opened(value)

    def _declare(self, parameter: Parameter) -> Any:
        name, space = parameter.name, self._tracer.space
        if space is not None and any(name in (n, read_as(n)) for n in space.names):
            # The space's declaration counts. If it is inactive, the builder gets its own default.
            if not all(scope.met for scope in self._scopes):
                return None
            if name in self._kept:
                return opened_again(self._readable[name])
            return parameter.opened(parameter.default)
        if self._recorded:
            self._tracer.declare(parameter, self._occurrence())
        return super()._declare(parameter)

    def _value_of(self, parameter: Parameter) -> Any:
        name = parameter.name
        several = not same_domain(self._declared[name], parameter)
        if several and self._recorded and name not in self._tracer.merged:
            # As in Keras Tuner, a name has one value in a build, so its domains are merged.
            self._tracer.clashes.add(name)
        if name not in self._kept:
            self._take(name, self._tracer.name_of(parameter) or name, parameter)
        return opened_again(self._readable[name])

    def _standing(self, name: str) -> tuple[Parameter | None, Any]:
        if name in self._kept:
            kept = self._kept[name]
            return self._tracer.parameters.get(kept, self._declared[name]), self.traced[kept]
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
            parent = self._kept.get(scope.parent, "")
            if not parent and scope.parent in self._out_of_scope:
                parent = self._tracer.name_of(self._out_of_scope[scope.parent]) or ""
            parent = parent or scope.parent
            within = occurrence.get(parent, scope.values)
            occurrence[parent] = tuple(each for each in scope.values if each in within)
        return occurrence
