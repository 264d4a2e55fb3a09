"""Chooses the values with which a builder is run, to find all parameters that it declares.

- All values of choices and of short ranges are tried.
- In a long range, the ends and the middle are tried. If two of these builds declare different
  parameters, bisection finds the values at which the declared parameters change.
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
from search_spaces.parameters.parameter_and_values import Condition, Parameter

_MOST_PAIRS: Final = 16
"""Two parameters with more pairs of values are not combined, since each pair takes a build."""

Item = tuple[str, Key]
"""A parameter's name and one of its values."""


class Explorer:
    """Chooses values for builds until no build declares anything new."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer, self._parameters = tracer, tracer.parameters
        # A builder may declare a parameter only if other parameters have certain values. This dict
        # has the values that each parameter needs, without defaults.
        self._contexts: dict[str, dict[str, Any]] = {}
        # New parameters, each with the values of the parameters declared before it.
        self._new: list[tuple[str, dict[str, Any]]] = []
        # The parameters for which `_activate_stated` ran a build.
        self._activated: set[str] = set()
        # The pairs of values for which a build was planned.
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
        """Tries the values of new parameters. Parameters with the same context share builds."""
        groups: list[tuple[dict[str, Any], list[Parameter]]] = []
        while self._new:
            name, values = self._new.pop(0)
            context = self._contexts[name] = self._context(name, values)
            group = next((group for other, group in groups if other == context), None)
            if group is None:
                groups.append((context, group := []))
            group.append(self._parameters[name])
        for context, group in groups:
            self._probe_ranges(context, group)
            for parameter in filter(is_few, group):
                for value in values_of(parameter):
                    self._run({**context, parameter.name: value})

    def _context(self, name: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the values without which the builder does not declare a parameter."""
        key = self._tracer.key
        needed = {
            n: v for n, v in values.items() if key(n, v) != key(n, self._parameters[n].default)
        }
        for parent in list(needed):
            fewer = {n: v for n, v in needed.items() if n != parent}
            if name in self._run(fewer).values:
                needed = fewer
        return needed

    def _probe_ranges(self, context: Mapping[str, Any], new: list[Parameter]) -> None:
        """Tries the ends and the middle of all new ranges at once.

        This takes three builds. If one of them declares other parameters than the build with
        `context` alone, this method tries each range by itself. With a `context`, it also tries
        the ends of the ranges that are declared earlier, because the bounds of the new ranges may
        depend on earlier values.
        """
        usual = _outcome(self._run(context))

        def at(place: int, ranges: Iterable[Parameter]) -> Trace:
            ends = {p.name: values_of(p)[landmarks(p)[place]] for p in ranges}
            return self._run({**context, **ends})

        ranges = [parameter for parameter in new if not is_few(parameter)]
        if any(_outcome(at(place, ranges)) != usual for place in range(3)):
            for parameter in ranges:
                self._probe_range(context, parameter)
        if context:
            names = {parameter.name for parameter in new}
            before = itertools.takewhile(lambda name: name not in names, self._run(context).values)
            ranges = [self._parameters[name] for name in before if name not in context]
            for place in range(2):
                at(place, (parameter for parameter in ranges if not is_few(parameter)))

    def _probe_range(self, context: Mapping[str, Any], parameter: Parameter) -> None:
        values = values_of(parameter)

        def outcome(index: int) -> object:
            return _outcome(self._run({**context, parameter.name: values[index]}))

        survey(landmarks(parameter), outcome)

    def _activate_stated(self) -> None:
        """Activates each parameter that was declared only in scopes that were not active.

        For each of them, runs a build with values that meet the condition of the scope.
        """
        for name in list(self._parameters):
            if name in self._contexts or name in self._activated:
                continue
            self._activated.add(name)
            condition = stated_condition(self._tracer, name) or {}
            row: dict[str, Any] = {}
            for parent in condition:
                row.update(self._contexts.get(parent, {}))
            self._run({**row, **{parent: values[0] for parent, values in condition.items()}})

    def _next_row(self, conditions: Conditions) -> dict[str, Any] | None:
        """Returns hyperparameters with a pair of values that no build has combined yet.

        Returns None if there is no such pair. Skips pairs that the conditions rule out, and values
        with which every build raised an error.
        """
        sound = {item for t in self._tracer.traces if t.error is None for item in t.keys.items()}
        domains: dict[str, list[tuple[Any, Item]]] = {}
        for name, parameter in self._parameters.items():
            if parameter.count != 1 and is_few(parameter):
                items = [(v, (name, parameter.identity(v))) for v in values_of(parameter)]
                domains[name] = [(value, item) for value, item in items if item in sound]
        earlier = {
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
                if pair in earlier or pair in self._tried:
                    continue
                self._tried.add(pair)
                row = self._supported({a: one, b: other}, conditions)
                if row is not None:
                    return self._filled(row, domains, earlier)
        return None

    def _supported(self, pair: dict[str, Any], conditions: Conditions) -> dict[str, Any] | None:
        """Adds values that make both parameters of a pair active. Returns None if no values do."""
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
        earlier: set[frozenset[Item]],
    ) -> dict[str, Any]:
        """Adds values of other parameters to a build, so that it has as many new pairs as it can.

        A pair is new if it is not in `earlier`.
        """
        items = [
            (name, self._tracer.key(name, value)) for name, value in row.items() if name in domains
        ]
        for name, values in domains.items():
            if name in row or not values:
                continue
            others = [i for i in items if len(domains[i[0]]) * len(values) <= _MOST_PAIRS]

            def gain(value: tuple[Any, Item], others: Sequence[Item] = tuple(others)) -> int:
                return sum(frozenset([value[1], item]) not in earlier for item in others)

            best = max(values, key=gain)
            if gain(best):
                row[name] = best[0]
                items.append(best[1])
        return row


def _outcome(trace: Trace) -> tuple[frozenset[str], str | None]:
    return frozenset(trace.values), trace.error
