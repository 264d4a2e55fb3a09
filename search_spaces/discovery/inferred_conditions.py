"""Infers under which condition a builder declares a parameter.

A condition lists parents, each with the values that the parent may have. The parents are chosen
greedily, so that few parents explain all builds that did not declare the parameter. No condition is
exact for a branch such as `if a or b:`. The inferred condition is then too weak, not too strict:
the parameter is active even in some trials that do not use it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any, Final

from search_spaces.discovery.builder_tracer import (
    Key,
    Trace,
    Tracer,
    is_few,
    landmarks,
    survey,
    values_of,
)
from search_spaces.parameters import Condition, Parameter, Scalar

_MOST_LISTED: Final = 1000
"""The most values of a numeric parameter that may become an inferred parent. There is a limit,
because a condition lists every allowed value of a parent."""

Conditions = dict[str, Condition | None]
"""The condition of each parameter, or None if it can't be met."""

Run = Callable[[Mapping[str, Any]], Trace | None]


def conditions_of(tracer: Tracer, run: Run) -> Conditions:
    """Infers the conditions of all parameters. To do so, runs builds with further values."""
    conditions = {name: _condition(tracer, run, name) for name in list(tracer.parameters)}
    return {
        name: None if condition is None else _without_implied(tracer, condition, conditions)
        for name, condition in conditions.items()
    }


def stated_condition(tracer: Tracer, name: str) -> Condition | None:
    """Returns the condition that the builder states, for example by `hp.conditional_scope`.

    If a parameter is declared in several scopes, the condition has only the parents that all of
    these scopes name. A parent may have every value that one of these scopes allows. Returns None
    if no declaration can ever be active.
    """
    scopes = [scope for scope in tracer.occurrences[name] if all(scope.values())]
    if not scopes:
        return None
    condition: Condition = {}
    for parent in scopes[0]:
        if all(parent in scope for scope in scopes):
            by_key = {tracer.key(parent, v): v for scope in scopes for v in scope[parent]}
            condition[parent] = tuple(by_key.values())
    return condition


def needs(condition: Condition, conditions: Conditions, tracer: Tracer) -> Condition:
    """Returns a condition together with the conditions of its parents and their parents.

    If the result has a parent without values, the condition can't be met.
    """
    demands: Condition = {}
    queue = [condition]
    parents = set()
    while queue:
        for parent, values in queue.pop().items():
            keys = tracer.keys(parent, values)
            demands[parent] = tuple(
                value for value in demands.get(parent, values) if tracer.key(parent, value) in keys
            )
            if parent not in parents:
                parents.add(parent)
                queue.append(conditions.get(parent) or {})
    return demands


def _condition(tracer: Tracer, run: Run, name: str) -> Condition | None:
    parameters = tracer.parameters
    stated = stated_condition(tracer, name)
    if stated is None:
        return None
    while True:
        builds = len(tracer.traces)
        declarers = [trace for trace in tracer.traces if name in trace.values]
        if not declarers:
            return stated
        others = [
            trace
            for trace in tracer.traces
            if name not in trace.values and trace.error is None and met_in(trace, stated, tracer)
        ]
        # Only parameters that come before this one in every build may be its parents, so that
        # conditions form no circles.
        common = set.intersection(
            *(set(itertools.takewhile(name.__ne__, trace.values)) for trace in declarers)
        )
        right_keys = {
            parent: {trace.keys[parent] for trace in declarers}
            for parent in declarers[0].values
            if parent in common
            and parent not in stated
            and 1 < (parameters[parent].count or 0) <= _MOST_LISTED
        }
        parents = _explaining_parents(others, right_keys)
        # Of the builds that declared the parameter, `home` has the fewest values that are not
        # defaults. Further builds change one value of `home`.
        home = min(declarers, key=lambda trace: _distance(tracer, trace))
        inferred = {}
        for parent in parents:
            # Builds with these values did not declare the parameter, although the other parents
            # had values that allow it.
            wrong_keys = {
                trace.keys[parent]
                for trace in tracer.traces
                if name not in trace.values and trace.error is None and parent in trace.keys
                if all(trace.keys.get(p) in right_keys[p] for p in parents if p != parent)
            }.difference(right_keys[parent])
            values = _allowed(parameters[parent], name, home, right_keys[parent], wrong_keys, run)
            if len(values) < (parameters[parent].count or 0):
                inferred[parent] = values
        if len(tracer.traces) == builds:
            return stated | inferred


def _explaining_parents(traces: list[Trace], right_keys: Mapping[str, set[Key]]) -> list[str]:
    """Chooses parents whose values explain why a builder did not declare the parameter.

    For example, suppose that no build with "optimizer" as "adam" declared the parameter. Then the
    parent "optimizer" explains these builds.
    """
    explanations = (
        [p for p, keys in right_keys.items() if p in trace.keys and trace.keys[p] not in keys]
        for trace in traces
    )
    unexplained = [parents for parents in explanations if parents]
    parents_so_far: list[str] = []
    while unexplained:
        best = max(right_keys, key=lambda p: sum(p in parents for parents in unexplained))
        parents_so_far.append(best)
        unexplained = [parents for parents in unexplained if best not in parents]
    return parents_so_far


def _allowed(
    parent: Parameter, name: str, home: Trace, right_keys: set[Key], wrong_keys: set[Key], run: Run
) -> tuple[Scalar, ...]:
    """Returns the values of a parent under which a parameter may be active.

    A value is also allowed if the build with this value raised an error, or was not run because the
    limit of builds was reached.
    """
    values = values_of(parent)
    keys = [parent.identity(value) for value in values]

    def declares(index: int) -> bool:
        if keys[index] in right_keys or keys[index] in wrong_keys:
            return keys[index] in right_keys
        trace = run({**home.values, parent.name: values[index]})
        return trace is None or name in trace.values or trace.error is not None

    places = set(range(len(values)))
    if not is_few(parent):
        places = {index for index, key in enumerate(keys) if key in right_keys | wrong_keys}
        places.update(landmarks(parent))
    results = survey(sorted(places), declares)
    result, allowed = True, []
    for index, value in enumerate(values):
        # Between two equal results of `survey`, all values are assumed to give the same result.
        result = results.get(index, result)
        if result:
            allowed.append(value)
    return tuple(allowed)


def _without_implied(tracer: Tracer, condition: Condition, conditions: Conditions) -> Condition:
    """Drops a parent from a condition if the conditions of the other parents imply its values.

    Also drops parents that are always active and may have any value.
    """
    rest = {
        parent: values
        for parent, values in condition.items()
        if conditions.get(parent) or len(values) != tracer.parameters[parent].count
    }
    for parent, values in list(rest.items()):
        others = {name: allowed for name, allowed in rest.items() if name != parent}
        needed = needs(others, conditions, tracer).get(parent)
        if needed is not None and tracer.keys(parent, needed) <= tracer.keys(parent, values):
            del rest[parent]
    return rest


def met_in(trace: Trace, condition: Condition, tracer: Tracer) -> bool:
    """Returns whether a build had values that meet a condition."""
    return all(trace.keys.get(p) in tracer.keys(p, values) for p, values in condition.items())


def _distance(tracer: Tracer, trace: Trace) -> int:
    defaults = (tracer.key(name, tracer.parameters[name].default) for name in trace.keys)
    return sum(key != usual for key, usual in zip(trace.keys.values(), defaults, strict=True))
