"""Chooses the values with which a builder is run, to find all parameters that it declares.

- All values of choices and of short ranges are tried.
- In a long range, the ends and the middle are tried. If two of these builds declare different
  parameters, bisection finds where that changes.
- Further builds combine pairs of values, to find branches such as `if a and b:`. One build covers
  many pairs. Three values at once are not tried: most failures of software depend on one or two
  parameters (Kuhn, Wallace and Gallo 2004, doi:10.1109/TSE.2004.24).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from search_spaces.discovery.builder_runs import Key, Trace, Tracer
from search_spaces.discovery.inferred_conditions import (
    Conditions,
    conditions_of,
    is_few,
    landmarks,
    met_in,
    needs,
    stated_condition,
    survey,
    values_of,
)
from search_spaces.parameters.base import Condition, Parameter

_MOST_PAIRS: Final = 16
"""Two parameters with more pairs of values are not combined, since each pair takes a build."""

Item = tuple[str, Key]
"""A parameter's name and one of its values."""


class Explorer:
    """Chooses values for builds until no build declares anything new."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer, self._parameters = tracer, tracer.parameters
        # The values that a parameter needs to be active. Other parameters have their defaults.
        self._contexts: dict[str, dict[str, Any]] = {}
        self._new: list[tuple[str, dict[str, Any]]] = []
        self._asked: set[str] = set()
        self._tried: set[frozenset[Item]] = set()

    def explore(self) -> Conditions:
        """Runs builds, and returns the condition of each parameter."""
        self._run({})
        while True:
            while self._new:
                self._probe()
            conditions = conditions_of(self._tracer, self._run)
            self._activate_stated()
            # Conditions are inferred again only if a build contradicts them.
            as_expected = True
            while as_expected and not self._new:
                row = self._next_row(conditions)
                if row is None:
                    return conditions
                trace = self._run(row)
                active = {
                    name
                    for name, condition in conditions.items()
                    if condition is not None and met_in(trace, condition, self._tracer)
                }
                as_expected = trace.error is not None or active == set(trace.values)

    def _run(self, assignment: Mapping[str, Any]) -> Trace:
        trace = self._tracer.run(assignment)
        earlier: dict[str, Any] = {}
        for name, value in trace.values.items():
            if name not in self._contexts:
                self._contexts[name] = dict(earlier)
                self._new.append((name, dict(earlier)))
            earlier[name] = value
        return trace

    def _probe(self) -> None:
        """Tries the values of new parameters."""
        groups: list[tuple[dict[str, Any], list[Parameter]]] = []
        while self._new:
            name, values = self._new.pop(0)
            context = self._contexts[name] = self._least(name, values)
            group = next((group for known, group in groups if known == context), None)
            if group is None:
                groups.append((context, group := []))
            group.append(self._parameters[name])
        for context, group in groups:
            self._probe_ranges(context, group)
            for parameter in filter(is_few, group):
                for value in values_of(parameter):
                    self._run({**context, parameter.name: value})

    def _least(self, name: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Leaves out the values that a parameter does not need to be active."""
        needed = {n: v for n, v in values.items() if self._is_chosen(n, v)}
        for each in list(needed):
            fewer = {n: v for n, v in needed.items() if n != each}
            if name in self._run(fewer).values:
                needed = fewer
        return needed

    def _is_chosen(self, name: str, value: Any) -> bool:
        return self._tracer.key(name, value) != self._tracer.key(
            name, self._parameters[name].default
        )

    def _probe_ranges(self, context: Mapping[str, Any], new: list[Parameter]) -> None:
        """Builds with the ends of all new ranges at once; if a build differs, tries each range.

        Then tries the ends of earlier ranges, since the new bounds may depend on these.
        """
        home = self._run(context)

        def at(place: int, ranges: Iterable[Parameter]) -> Trace:
            ends = {p.name: values_of(p)[landmarks(p)[place]] for p in ranges}
            return self._run({**context, **ends})

        ranges = [parameter for parameter in new if not is_few(parameter)]
        if any(_outcome(at(place, ranges)) != _outcome(home) for place in range(3)):
            for parameter in ranges:
                self._probe_range(context, parameter)
        names = {parameter.name for parameter in new}
        before = [*itertools.takewhile(lambda name: name not in names, home.values)]
        ranges = [self._parameters[name] for name in before if name not in context]
        for place in (0, 1) if context else ():
            at(place, (parameter for parameter in ranges if not is_few(parameter)))

    def _probe_range(self, context: Mapping[str, Any], parameter: Parameter) -> None:
        values = values_of(parameter)

        def look(index: int) -> object:
            return _outcome(self._run({**context, parameter.name: values[index]}))

        if parameter.count is None:
            for index in range(len(values)):
                look(index)
        else:
            survey(landmarks(parameter), look)

    def _activate_stated(self) -> None:
        """Runs a build for each parameter that was declared in inactive scopes only."""
        for name in list(self._parameters):
            if name in self._contexts or name in self._asked:
                continue
            self._asked.add(name)
            stated = stated_condition(self._tracer, name) or {}
            row: dict[str, Any] = {}
            for parent in stated:
                row.update(self._contexts.get(parent, {}))
            self._run({**row, **{parent: values[0] for parent, values in stated.items()}})

    def _next_row(self, conditions: Conditions) -> dict[str, Any] | None:
        """Returns the values of the next build, which has a new pair. None if no pair is left.

        Skips pairs that the conditions rule out, and values with which every build raised.
        """
        sound = {item for t in self._tracer.traces if t.error is None for item in t.keys.items()}
        domains: dict[str, list[tuple[Any, Item]]] = {}
        for name, parameter in self._parameters.items():
            if parameter.count != 1 and is_few(parameter):
                items = [(each, (name, parameter.identity(each))) for each in values_of(parameter)]
                domains[name] = [(value, item) for value, item in items if item in sound]
        met = {
            frozenset(pair)
            for trace in self._tracer.traces
            for pair in itertools.combinations(
                (i for i in trace.keys.items() if i[0] in domains), 2
            )
        }
        for (a, ours), (b, theirs) in itertools.combinations(domains.items(), 2):
            if len(ours) * len(theirs) > _MOST_PAIRS:
                continue
            for (one, first), (other, second) in itertools.product(ours, theirs):
                pair = frozenset([first, second])
                if pair in met or pair in self._tried:
                    continue
                self._tried.add(pair)
                row = self._supported({a: one, b: other}, conditions)
                if row is not None:
                    return self._filled(row, domains, met)
        return None

    def _supported(self, pair: dict[str, Any], conditions: Conditions) -> dict[str, Any] | None:
        """Adds to a pair of values those that its parents need. None if it can't be active."""
        condition: Condition = {name: (value,) for name, value in pair.items()}
        needed = needs(condition, conditions, self._tracer)
        if not all(needed.values()):
            return None
        row: dict[str, Any] = {}
        for name in pair:
            row = {**self._contexts.get(name, {}), **row}
        for name, values in needed.items():
            value = row.get(name, self._parameters[name].default)
            fits = self._tracer.key(name, value) in self._tracer.keys(name, values)
            row[name] = value if fits else values[0]
        return row

    def _filled(
        self,
        row: dict[str, Any],
        domains: Mapping[str, list[tuple[Any, Item]]],
        met: set[frozenset[Item]],
    ) -> dict[str, Any]:
        """Adds values of other parameters to a build's, chosen to make the most new pairs."""
        chosen = [
            (name, self._tracer.key(name, value)) for name, value in row.items() if name in domains
        ]
        for name, values in domains.items():
            if name in row or not values:
                continue

            few = [c for c in chosen if len(domains[c[0]]) * len(values) <= _MOST_PAIRS]

            def gain(each: tuple[Any, Item], few: Sequence[Item] = tuple(few)) -> int:
                return sum(frozenset([each[1], item]) not in met for item in few)

            best = max(values, key=gain)
            if gain(best):
                row[name] = best[0]
                chosen.append(best[1])
        return row


def _outcome(trace: Trace) -> tuple[frozenset[str], str | None]:
    return frozenset(trace.values), trace.error
