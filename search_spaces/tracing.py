"""Tracing: running a builder on chosen values, and what it then declared.

A build is decided by the values of what it declares, in the order in which it declares it. So all
builds together form a tree: at its root is what every build declares first, and a build is a path
from there. Values whose path has been walked need no other build.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from search_spaces.errors import SearchSpaceError, suggestion
from search_spaces.inline_declarations import InlineDeclarations, two_domains
from search_spaces.parameter import Parameter
from search_spaces.readable_values import HyperparameterError
from search_spaces.scalars import NOT_GIVEN, Scalar
from search_spaces.translations import same_domain

_SHOWN_VALUES: Final = 6

Occurrence = dict[str, tuple[Scalar, ...]]
"""The conditional scopes around a declaration: parents, each with the values that it may have."""


class Trace(NamedTuple):
    """One build.

    Attributes:
        values: What it declared, in order, with the values that it was given.
        error: What it raised, in words; None if it came to its end.
    """

    values: dict[str, Any]
    error: str | None


class LimitReachedError(Exception):
    """The limit of builds is reached."""


class _Node:
    """A place in the tree: what is declared next there, or the build that ends there."""

    def __init__(self) -> None:
        self.name: str | None = None
        self.following: dict[tuple[str, object], _Node] = {}
        self.trace: Trace | None = None


class Tracer:
    """Builds on chosen values, never twice for the same path.

    Attributes:
        parameters: What was declared so far, without conditions, as first declared.
        occurrences: The conditional scopes around each of them, in all their variety.
        traces: The builds so far.
        first_error: The first exception that a build raised.
    """

    def __init__(
        self, build: Callable[[Any], object], before: Callable[[], object] | None, limit: int
    ) -> None:
        """Takes a builder; runs nothing yet.

        Args:
            build: The builder.
            before: What to call before each build.
            limit: How many builds there may be.
        """
        self._build, self._before, self._limit = build, before, limit
        self._root = _Node()
        self.parameters: dict[str, Parameter] = {}
        self.occurrences: dict[str, list[Occurrence]] = {}
        self.traces: list[Trace] = []
        self.first_error: Exception | None = None

    def known(self, assignment: Mapping[str, Any]) -> Trace | None:
        """The build that values lead to; None if there was none.

        Args:
            assignment: Values by name. What is not among them has its default.
        """
        node = self._root
        while node.trace is None:
            if node.name is None:
                return None
            parameter = self.parameters[node.name]
            value = assignment.get(node.name, parameter.default)
            following = node.following.get(parameter.identity(value))
            if following is None:
                return None
            node = following
        return node.trace

    def run(self, assignment: Mapping[str, Any]) -> Trace:
        """The build that values lead to.

        Args:
            assignment: Values by name. What is not among them has its default.

        Raises:
            SearchSpaceError: If the builder declares something wrongly, or one name with two
                domains.
            LimitReachedError: If it takes one build more than there may be.
        """
        trace = self.known(assignment)
        if trace is not None:
            return trace
        if len(self.traces) >= self._limit:
            raise LimitReachedError
        if self._before is not None:
            self._before()
        hp = _TracingHyperparameters(self, assignment)
        error = None
        try:
            self._build(hp)
        except SearchSpaceError:
            raise  # A wrong declaration: the user's to mend, for whatever values.
        except Exception as raised:
            error = f"{type(raised).__name__}: {raised}"
            self.first_error = self.first_error or raised
        trace = Trace(hp.values, error)
        self.traces.append(trace)
        self._remember(trace)
        return trace

    def declare(self, parameter: Parameter, occurrence: Occurrence) -> Parameter:
        """Takes note of a declaration.

        Args:
            parameter: What is declared.
            occurrence: The conditional scopes around it.

        Returns:
            The parameter as it was first declared.

        Raises:
            SearchSpaceError: If that was with another domain.
        """
        first = self.parameters.setdefault(parameter.name, parameter)
        if not same_domain(first, parameter):
            raise SearchSpaceError(two_domains(first, parameter))
        occurrences = self.occurrences.setdefault(parameter.name, [])
        if occurrence not in occurrences:
            occurrences.append(occurrence)
        return first

    def notes(self) -> list[str]:
        """What the builder raised: a sentence for each kind of error, with the first values."""
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
            f"{name}={value!r}"
            for name, value in trace.values.items()
            if self.parameters[name].identity(value)
            != self.parameters[name].identity(self.parameters[name].default)
        ]
        shown = ", ".join(different[:_SHOWN_VALUES]) + (", …" if different[_SHOWN_VALUES:] else "")
        return f"{shown} and otherwise defaults" if shown else "its defaults"

    def _remember(self, trace: Trace) -> None:
        node = self._root
        for name, value in trace.values.items():
            if node.name != name:
                # New ground, or a builder that is not the same twice: then the last build counts.
                node.name, node.following, node.trace = name, {}, None
            identity = self.parameters[name].identity(value)
            node = node.following.setdefault(identity, _Node())
        node.name, node.trace = None, trace


class _TracingHyperparameters(InlineDeclarations):
    """The `hp` of a traced build: chosen values for what is declared, defaults for the rest."""

    def __init__(
        self, tracer: Tracer, assignment: Mapping[str, Any], *, recorded: bool = True
    ) -> None:
        super().__init__({})
        self._tracer, self._assignment, self._recorded = tracer, assignment, recorded

    @property
    def number(self) -> int:
        """As of a study's first trial."""
        return 0

    @property
    def params(self) -> dict[str, Any]:
        """What was declared so far, with its values."""
        return self.values

    def copy(self) -> _TracingHyperparameters:
        """An object of its own: what is declared on it is no part of the space."""
        copied = _TracingHyperparameters(self._tracer, self._assignment, recorded=False)
        copied._readable = dict(self._readable)
        copied._declared = dict(self._declared)
        copied._out_of_scope = dict(self._out_of_scope)
        return copied

    def _declare(self, parameter: Parameter) -> Any:
        if self._recorded:
            self._tracer.declare(parameter, self._occurrence())
        return super()._declare(parameter)

    def _value_of(self, parameter: Parameter) -> Any:
        name = parameter.name
        if name not in self._readable:
            first = self._tracer.parameters.get(name, parameter)
            value = self._assignment.get(name, first.default)
            self._readable[name] = value if parameter.contains(value) else parameter.default
        return self._readable[name]

    def _standing(self, name: str) -> tuple[Parameter | None, Any]:
        if name in self._declared:
            return self._declared[name], self._readable[name]
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
            within = occurrence.get(scope.parent, scope.values)
            occurrence[scope.parent] = tuple(each for each in scope.values if each in within)
        return occurrence
