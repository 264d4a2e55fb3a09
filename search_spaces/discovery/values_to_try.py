"""Chooses the values of builds, and infers under which condition a parameter is active.

All values of choices and of short ranges are tried. In a long range, the ends and the middle are
tried. If two of these builds declare different parameters, bisection finds where that changes. If
they declare the same, all values between them are assumed to do so, too.

Then builds combine pairs of values, to find branches such as `if a and b:`. One build covers many
pairs. Three values at once are not tried: most failures of software depend on one or two parameters
(Kuhn, Wallace and Gallo 2004, doi:10.1109/TSE.2004.24).

A condition lists parents, each with the values that it may have. The parents are chosen greedily:
as few as explain all builds without the parameter. Each value of theirs is tried in a build that
had the parameter. If no condition fits, as for `if a or b:`, the parameter is active too often
rather than too seldom.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

from search_spaces.discovery.builder_runs import Key, Occurrence, Trace, Tracer
from search_spaces.parameters.base import Parameter
from search_spaces.parameters.choices import Listed
from search_spaces.parameters.values import Scalar

FEW: Final = 6
"""All values of a numeric range are tried if it has at most this many. That takes five builds.
Bisection takes four or five, too, if anything depends on the number."""

MOST_LISTED: Final = 1000
"""No condition is inferred on a number with more values, since a condition lists them."""

MOST_PAIRS: Final = 16
"""Two parameters with more pairs of values than this are not combined: each pair takes a build."""

Condition = dict[str, tuple[Scalar, ...]]
Conditions = dict[str, Condition | None]
"""The condition of each parameter, or None if it can't be met."""

Item = tuple[str, Key]
Seen = TypeVar("Seen")


def is_few(parameter: Parameter) -> bool:
    """Returns whether to try all values of a parameter."""
    if isinstance(parameter, Listed):
        return True
    return parameter.count is not None and parameter.count <= FEW


def values_of(parameter: Parameter) -> Sequence[Any]:
    """Returns all values of a finite parameter, or the ends and default of a continuous one."""
    values = parameter.grid_values()
    if values is not None:
        return values
    ends: Any = parameter
    return tuple(dict.fromkeys((ends.low, parameter.default, ends.high)))


def landmarks(parameter: Parameter) -> list[int]:
    """Returns the indices of a parameter's lowest, highest and middle values."""
    count = len(values_of(parameter))
    return [0, count - 1, count // 2]


def survey(places: Iterable[int], look: Callable[[int], Seen]) -> dict[int, Seen]:
    """Calls `look` at indices and, by bisection, where its results change. Returns the results."""
    seen = {index: look(index) for index in places}
    while True:
        ordered = sorted(seen)
        between = [
            (low + high) // 2
            for low, high in itertools.pairwise(ordered)
            if high - low > 1 and seen[low] != seen[high]
        ]
        if not between:
            return {index: seen[index] for index in ordered}
        seen.update((index, look(index)) for index in between)


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
                    if condition is not None and _met(self._tracer, trace, condition)
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
            if len(ours) * len(theirs) > MOST_PAIRS:
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

            few = [c for c in chosen if len(domains[c[0]]) * len(values) <= MOST_PAIRS]

            def gain(each: tuple[Any, Item], few: Sequence[Item] = tuple(few)) -> int:
                return sum(frozenset([each[1], item]) not in met for item in few)

            best = max(values, key=gain)
            if gain(best):
                row[name] = best[0]
                chosen.append(best[1])
        return row


def _outcome(trace: Trace) -> tuple[frozenset[str], str | None]:
    return frozenset(trace.values), trace.error


def conditions_of(tracer: Tracer, run: Callable[[Mapping[str, Any]], Trace | None]) -> Conditions:
    """Returns the conditions of all parameters. Runs further builds if one is undecided."""
    conditions = {name: _condition(tracer, run, name) for name in list(tracer.parameters)}
    return {
        name: condition if condition is None else _without_implied(tracer, condition, conditions)
        for name, condition in conditions.items()
    }


def stated_condition(tracer: Tracer, name: str) -> Condition | None:
    """Returns the condition that the builder states, for example by `hp.conditional_scope`.

    If the parameter is declared several times, the condition has the parents that all declarations
    share, each with the values of all. None if no declaration can ever be active.
    """
    possible: list[Occurrence] = [each for each in tracer.occurrences[name] if all(each.values())]
    if not possible:
        return None
    condition: Condition = {}
    for parent in possible[0]:
        if all(parent in each for each in possible):
            keys = {tracer.key(parent, v): v for each in possible for v in each[parent]}
            condition[parent] = tuple(keys.values())
    return condition


def needs(condition: Condition, conditions: Conditions, tracer: Tracer) -> Condition:
    """Returns a condition together with the conditions of its parents and their parents.

    If a parent has no values left, the condition can't be met.
    """
    needed: Condition = {}
    waiting = [condition]
    visited = set()
    while waiting:
        for parent, values in waiting.pop().items():
            keys = tracer.keys(parent, values)
            needed[parent] = tuple(
                value for value in needed.get(parent, values) if tracer.key(parent, value) in keys
            )
            if parent not in visited:
                visited.add(parent)
                waiting.append(conditions.get(parent) or {})
    return needed


def _condition(
    tracer: Tracer, run: Callable[[Mapping[str, Any]], Trace | None], name: str
) -> Condition | None:
    parameters = tracer.parameters
    stated = stated_condition(tracer, name)
    if stated is None:
        return None
    while True:
        builds = len(tracer.traces)
        having = [trace for trace in tracer.traces if name in trace.values]
        if not having:
            return stated
        without = [
            trace
            for trace in tracer.traces
            if name not in trace.values and trace.error is None and _met(tracer, trace, stated)
        ]
        # A parent must come before its child in every build, so conditions form no circles.
        common = set.intersection(
            *(set(itertools.takewhile(name.__ne__, trace.values)) for trace in having)
        )
        seen = {
            parent: {trace.keys[parent] for trace in having}
            for parent in having[0].values
            if parent in common
            and parent not in stated
            and 1 < (parameters[parent].count or 0) <= MOST_LISTED
        }
        chosen = _telling(without, seen)
        # Start from the build that had the parameter and is nearest to the defaults.
        home = min(having, key=lambda trace: _distance(tracer, trace))
        inferred = {}
        for parent in chosen:
            # A build with such a value lacked the parameter, although other parents allowed it.
            ruled_out = {
                trace.keys[parent]
                for trace in tracer.traces
                if name not in trace.values and trace.error is None and parent in trace.keys
                if all(trace.keys.get(p) in seen[p] for p in chosen if p != parent)
            }.difference(seen[parent])
            values = _allowed(parameters[parent], name, home, seen[parent], ruled_out, run)
            if len(values) < (parameters[parent].count or 0):
                inferred[parent] = values
        if len(tracer.traces) == builds:
            return stated | inferred


def _telling(without: list[Trace], seen: Mapping[str, set[Key]]) -> list[str]:
    """Chooses parents whose values explain why some builds lack the parameter.

    A parent explains a build if its value there never occurred together with the parameter.
    """
    tellings = (
        [p for p, keys in seen.items() if p in trace.keys and trace.keys[p] not in keys]
        for trace in without
    )
    unexplained = [telling for telling in tellings if telling]
    chosen: list[str] = []
    while unexplained:
        best = max(seen, key=lambda parent: sum(parent in telling for telling in unexplained))
        chosen.append(best)
        unexplained = [telling for telling in unexplained if best not in telling]
    return chosen


def _allowed(
    parent: Parameter,
    name: str,
    home: Trace,
    seen: set[Key],
    ruled_out: set[Key],
    run: Callable[[Mapping[str, Any]], Trace | None],
) -> tuple[Scalar, ...]:
    """Returns the values of a parent under which a parameter may be active.

    A value counts as one of them if its build raised, or is beyond the limit of builds.
    """
    values = values_of(parent)
    keys = [parent.identity(value) for value in values]

    def stays(index: int) -> bool:
        if keys[index] in seen or keys[index] in ruled_out:
            return keys[index] in seen
        trace = run({**home.values, parent.name: values[index]})
        return trace is None or name in trace.values or trace.error is not None

    places = set(range(len(values)))
    if not is_few(parent):
        places = {index for index, key in enumerate(keys) if key in seen | ruled_out}
        places.update(landmarks(parent))
    looked = survey(sorted(places), stays)
    last, allowed = True, []
    for index, value in enumerate(values):
        last = looked.get(index, last)
        if last:
            allowed.append(value)
    return tuple(allowed)


def _without_implied(tracer: Tracer, condition: Condition, conditions: Conditions) -> Condition:
    """Drops parents from a condition if another parent's own condition demands the same of them.

    Also drops parents that are always active and may have any value.
    """
    kept = {
        parent: values
        for parent, values in condition.items()
        if conditions.get(parent) or len(values) != tracer.parameters[parent].count
    }
    for parent in list(kept):
        others = {name: values for name, values in kept.items() if name != parent}
        needed = needs(others, conditions, tracer).get(parent)
        if needed is not None and tracer.keys(parent, needed) <= tracer.keys(
            parent, condition[parent]
        ):
            del kept[parent]
    return kept


def _met(tracer: Tracer, trace: Trace, condition: Condition) -> bool:
    return all(trace.keys.get(p) in tracer.keys(p, values) for p, values in condition.items())


def _distance(tracer: Tracer, trace: Trace) -> int:
    defaults = (tracer.key(name, tracer.parameters[name].default) for name in trace.keys)
    return sum(key != usual for key, usual in zip(trace.keys.values(), defaults, strict=True))
