"""Inference: under which condition a parameter is active, from builds in which it was or was not.

A condition names parents, each with the values that it may have, and all must hold. The parents are
a smallest set (found greedily) that separates the builds without the parameter from those with it;
each of their values is tried in a build that had the parameter. A case that no such condition can
express (`if a or b:`) is left out of it: a parameter is active too often rather than too seldom.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from search_spaces.discovery.probing import MOST_LISTED, is_few, landmarks, survey, values_of
from search_spaces.discovery.traced_hyperparameters import Occurrence
from search_spaces.discovery.tracing import Trace, Tracer
from search_spaces.parameters.parameter import Parameter
from search_spaces.parameters.scalars import Scalar

Condition = dict[str, tuple[Scalar, ...]]
Key = tuple[str, object]


def explicit_condition(
    occurrences: list[Occurrence], parameters: Mapping[str, Parameter]
) -> Condition | None:
    """Returns the condition that a parameter's conditional scopes state.

    It has the parents of all declarations, with the values of any; None if no declaration can ever
    be active.
    """
    possible = [each for each in occurrences if all(each.values())]
    if not possible:
        return None
    condition: Condition = {}
    for parent in possible[0]:
        if all(parent in each for each in possible):
            keys = {parameters[parent].identity(v): v for each in possible for v in each[parent]}
            condition[parent] = tuple(keys.values())
    return condition


class Inference:
    """Infers conditions from the builds of a tracer, asking for more builds where they decide."""

    def __init__(self, tracer: Tracer, run: Callable[[Mapping[str, Any]], Trace | None]) -> None:
        self._tracer, self._run = tracer, run
        self._parameters = tracer.parameters

    def conditions(self) -> dict[str, Condition | None]:
        """Returns the condition of every parameter by name; None for one that is never active."""
        found = {name: self._condition(name) for name in list(self._parameters)}
        return {
            name: condition if condition is None else self._without_implied(condition, found)
            for name, condition in found.items()
        }

    def _condition(self, name: str) -> Condition | None:
        explicit = explicit_condition(self._tracer.occurrences[name], self._parameters)
        if explicit is None:
            return None
        while True:
            positives = [trace for trace in self._tracer.traces if name in trace.values]
            if not positives:
                return explicit
            seen = self._seen(name, positives, explicit)
            chosen = self._chosen(name, seen, explicit)
            # Of the builds that had the parameter, the one nearest to the defaults.
            home = min(positives, key=self._distance)
            before = len(self._tracer.traces), self._known_positives(name)
            allowed = {parent: self._allowed(name, parent, home, seen, chosen) for parent in chosen}
            if before == (len(self._tracer.traces), self._known_positives(name)):
                implicit = {
                    parent: values
                    for parent, values in allowed.items()
                    if len(values) < (self._parameters[parent].count or 0)
                }
                return explicit | implicit

    def _known_positives(self, name: str) -> int:
        return sum(name in trace.values for trace in self._tracer.traces)

    def _distance(self, trace: Trace) -> int:
        return sum(
            self._key(name, value) != self._key(name, self._parameters[name].default)
            for name, value in trace.values.items()
        )

    def _seen(self, name: str, positives: list[Trace], explicit: Condition) -> dict[str, set[Key]]:
        """Possible parents, each with the values that it had when the parameter was active.

        A parent comes before its child wherever the child is: that also rules out circles.
        """
        common: list[str] | None = None
        for trace in positives:
            earlier = list(trace.values)[: list(trace.values).index(name)]
            common = earlier if common is None else [each for each in common if each in earlier]
        return {
            parent: {self._key(parent, trace.values[parent]) for trace in positives}
            for parent in common or ()
            if parent not in explicit and 1 < (self._parameters[parent].count or 0) <= MOST_LISTED
        }

    def _chosen(self, name: str, seen: Mapping[str, set[Key]], explicit: Condition) -> list[str]:
        """Returns the fewest parents whose values set apart all builds that can be set apart."""
        unexplained = []
        for trace in self._tracer.traces:
            if name in trace.values or trace.error is not None:
                continue
            if not self._met(trace, explicit):
                continue
            telling = [
                parent
                for parent, keys in seen.items()
                if parent in trace.values and self._key(parent, trace.values[parent]) not in keys
            ]
            if telling:
                unexplained.append(telling)
        chosen: list[str] = []
        while unexplained:
            counts = dict.fromkeys(seen, 0)
            for telling in unexplained:
                for parent in telling:
                    counts[parent] += 1
            best = max(seen, key=lambda parent: counts[parent])
            chosen.append(best)
            unexplained = [telling for telling in unexplained if best not in telling]
        return chosen

    def _allowed(
        self, name: str, parent: str, home: Trace, seen: Mapping[str, set[Key]], chosen: list[str]
    ) -> tuple[Scalar, ...]:
        """Returns the values of a parent that do not rule the parameter out.

        A value that can't be decided, as builds are missing or raise, counts as one of them.
        """
        values = values_of(self._parameters[parent])
        keys = [self._key(parent, value) for value in values]
        ruled_out = self._ruled_out(name, parent, seen, chosen)

        def stays(index: int) -> bool:
            if keys[index] in seen[parent]:
                return True
            if keys[index] in ruled_out:
                return False
            trace = self._run({**home.values, parent: values[index]})
            return trace is None or name in trace.values or trace.error is not None

        given: set[int] = set(range(len(values)))
        if not is_few(self._parameters[parent]):
            given = {index for index, key in enumerate(keys) if key in seen[parent] | ruled_out}
            given.update(landmarks(len(values)))
        looked = survey(len(values), sorted(given), stays)
        last = True
        allowed = []
        for index, value in enumerate(values):
            last = looked.get(index, last)
            if last:
                allowed.append(value)
        return tuple(allowed)

    def _ruled_out(
        self, name: str, parent: str, seen: Mapping[str, set[Key]], chosen: list[str]
    ) -> set[Key]:
        """Returns values of a parent that alone explain a build without the parameter."""
        found = set()
        for trace in self._tracer.traces:
            if name in trace.values or trace.error is not None or parent not in trace.values:
                continue
            others = (other for other in chosen if other != parent)
            if all(
                other in trace.values and self._key(other, trace.values[other]) in seen[other]
                for other in others
            ):
                found.add(self._key(parent, trace.values[parent]))
        return found - seen[parent]

    def _met(self, trace: Trace, condition: Condition) -> bool:
        return all(
            parent in trace.values
            and self._key(parent, trace.values[parent])
            in {self._key(parent, value) for value in values}
            for parent, values in condition.items()
        )

    def _without_implied(
        self, condition: Condition, found: Mapping[str, Condition | None]
    ) -> Condition:
        """Returns the condition without parents that another parent's own condition implies.

        Parents that are always active and may have any value are dropped too.
        """
        kept = {
            parent: values
            for parent, values in condition.items()
            if found.get(parent) or len(values) != self._parameters[parent].count
        }
        for parent in list(kept):
            others = {name: values for name, values in kept.items() if name != parent}
            needed = needs(others, found, self._parameters)
            if parent in needed and {self._key(parent, v) for v in needed[parent]} <= {
                self._key(parent, v) for v in condition[parent]
            }:
                del kept[parent]
        return kept

    def _key(self, name: str, value: Any) -> Key:
        return self._parameters[name].identity(value)


def needs(
    condition: Condition,
    conditions: Mapping[str, Condition | None],
    parameters: Mapping[str, Parameter],
) -> Condition:
    """Returns all that a condition needs, the conditions of its parents included.

    A name without values means that nothing can meet the condition.
    """
    needed: Condition = {}
    waiting = [condition]
    visited = set()
    while waiting:
        for parent, values in waiting.pop().items():
            keys = {parameters[parent].identity(value) for value in values}
            needed[parent] = tuple(
                value
                for value in needed.get(parent, values)
                if parameters[parent].identity(value) in keys
            )
            if parent not in visited:
                visited.add(parent)
                waiting.append(conditions.get(parent) or {})
    return needed
