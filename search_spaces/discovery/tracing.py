"""Tracing: running a builder on chosen values, and what it then declared.

A build depends only on the values of its declarations, in their order. So all builds form a tree:
its root is the first declaration, and a build is a path from there. Values whose path is known need
no other build.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from search_spaces.discovery.traced_hyperparameters import Occurrence, TracedHyperparameters
from search_spaces.errors import InternalError, SearchSpaceError
from search_spaces.inline.translations import same_domain
from search_spaces.inline.variants import holding_all, read_as
from search_spaces.parameters.parameter import Parameter
from search_spaces.space.search_space import SearchSpace

_SHOWN_VALUES: Final = 6
_MOST_VARIANTS: Final = 6
"""A name with more domains than this has one for each value of a long range, such as
`min(previous_units, 256)` as a bound: it becomes one parameter."""


class Trace(NamedTuple):
    """One build.

    Attributes:
        values: What it declared, in order, with the values that it was given.
        error: What it raised, in words; None if it returned.
    """

    values: dict[str, Any]
    error: str | None


class LimitReachedError(InternalError):
    """There were as many builds as allowed."""


class ClashError(InternalError):
    """A name was declared with domains that must be merged: see `Tracer.clashes`."""


class _Node:
    """A node of the tree: the next declaration, or the build that ends there."""

    def __init__(self) -> None:
        self.name: str | None = None
        self.following: dict[tuple[str, object], _Node] = {}
        self.trace: Trace | None = None


class Tracer:
    """Builds on chosen values, never twice for the same path.

    Parameters are kept by keys. A key is the name by which a builder declares a parameter, with a
    number after it if that name was declared with another domain before.

    Attributes:
        parameters: What was declared so far, without conditions, as first declared.
        occurrences: The conditional scopes around each of them, in all their variety.
        variants: The keys of each name that the builder declares.
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
        """Takes a builder; runs nothing yet.

        Args:
            build: The builder.
            before: What to call before each build.
            limit: How many builds there may be.
            stops: Decides whether an exception of a build ends the tracing.
            space: Declared outside the builder. Its domains and conditions hold.
            merged: Names that have one domain, whatever is declared; it may get wider.
        """
        self._stops = stops
        self._build, self._before, self._limit = build, before, limit
        self._root = _Node()
        self.space = space
        self.merged = dict(merged or {})
        self.parameters: dict[str, Parameter] = {}
        self.occurrences: dict[str, list[Occurrence]] = {}
        self.variants: dict[str, list[str]] = {}
        self.clashes: set[str] = set()
        self.widened = False
        self.traces: list[Trace] = []
        self.first_error: Exception | None = None

    def known(self, assignment: Mapping[str, Any]) -> Trace | None:
        """Returns the build that values lead to, the rest being defaults; None if there is none."""
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
        """Returns the build that values lead to, with defaults for the rest.

        Raises:
            SearchSpaceError: If the builder declares something wrongly.
            LimitReachedError: If it takes more builds than allowed.
            ClashError: If it declares one name with domains that must be merged.
        """
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
            raise  # A wrong declaration: the user must mend it, whatever the values.
        except Exception as raised:
            if self._stops(raised):
                raise
            error = f"{type(raised).__name__}: {raised}"
            self.first_error = self.first_error or raised
        if self.clashes:
            raise ClashError
        trace = Trace(hp.traced, error)
        self.traces.append(trace)
        self._remember(trace)
        return trace

    def declare(self, parameter: Parameter, occurrence: Occurrence) -> None:
        """Notes a declaration, and the conditional scopes around it."""
        key = self.key_of(parameter)
        if key is None:
            keys = self.variants.setdefault(parameter.name, [])
            key = f"{parameter.name} ⟨{len(keys) + 1}⟩" if keys else parameter.name
            known = self.merged.get(parameter.name, parameter)
            self.parameters[key] = known.renamed(key) if keys else known
            keys.append(key)
            if len(keys) > _MOST_VARIANTS:
                self.clashes.add(parameter.name)
        if parameter.name in self.merged:
            self._widen(parameter)
        occurrences = self.occurrences.setdefault(key, [])
        if occurrence not in occurrences:
            occurrences.append(occurrence)

    def key_of(self, parameter: Parameter) -> str | None:
        """Returns the key of a declaration; None if there was no such declaration before."""
        name = parameter.name
        if name in self.merged:
            return name if name in self.parameters else None
        for key in self.variants.get(name, [name] if name in self.parameters else []):
            if same_domain(self.parameters[key], parameter):
                return key
        return None

    def one_domain(self, name: str) -> Parameter:
        """Returns one parameter for all domains that a name was declared with.

        Raises:
            SearchSpaceError: If they have nothing in common.
        """
        declared = [self.parameters[key].renamed(name) for key in self.variants[name]]
        found = holding_all(declared)
        if found is None:
            raise SearchSpaceError(two_domains(declared[0], declared[1]))
        return found

    def _widen(self, parameter: Parameter) -> None:
        name = parameter.name
        wider = holding_all([self.parameters[name], parameter])
        if wider is None:
            raise SearchSpaceError(two_domains(self.parameters[name], parameter))
        if wider != self.parameters[name]:
            self.parameters[name] = self.merged[name] = wider
            self.widened = True

    def notes(self) -> list[str]:
        """Returns a sentence for each kind of error that builds raised, with the first values."""
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

    def name_of(self, key: str) -> str:
        """Returns the name by which a builder declares or reads what is kept by a key."""
        return next((name for name, keys in self.variants.items() if key in keys), read_as(key))

    def _in_words(self, trace: Trace) -> str:
        different = [
            f"{self.name_of(name)}={self.parameters[name].opened(value)!r}"
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
                # A new path, or a builder that is not deterministic: then the last build counts.
                node.name, node.following, node.trace = name, {}, None
            identity = self.parameters[name].identity(value)
            node = node.following.setdefault(identity, _Node())
        node.name, node.trace = None, trace


def two_domains(before: Parameter, now: Parameter) -> str:
    """Returns the message for a name with two domains that can't be merged."""
    return (
        f"{now.name!r} is declared twice with different domains, as {before!r} and as {now!r}: "
        f"give one of them another name, or declare it in a name_scope, or give both one domain."
    )
