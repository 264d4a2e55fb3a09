"""Exploration: chooses values for builds until no build declares anything new."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from search_spaces.discovery.covering import Covering
from search_spaces.discovery.inference import Condition, Inference, explicit_condition
from search_spaces.discovery.probing import is_few, landmarks, survey, values_of
from search_spaces.discovery.tracing import Trace, Tracer
from search_spaces.parameters.parameter import Parameter


class Exploration:
    """Chooses values for builds until no build declares anything new."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._contexts: dict[str, dict[str, Any]] = {}
        self._revealed: list[tuple[str, dict[str, Any]]] = []
        self._asked: set[str] = set()

    def explore(self) -> dict[str, Condition | None]:
        """Builds, and returns the condition of each parameter; None for one never active.

        Raises:
            LimitReachedError: If the limit of builds is reached.
            SearchSpaceError: Whatever is wrong with a declaration.
        """
        covering = Covering(self._tracer, self._contexts)
        inference = Inference(self._tracer, self._run)
        self._run({})
        while True:
            while self._revealed:
                self._probe(self._located())
            conditions = inference.conditions()
            self._activate_explicit()
            while not self._revealed:
                row = covering.next_row(conditions)
                if row is None:
                    return conditions
                trace = self._run(row)
                if not self._expected(trace, conditions):
                    break

    def _run(self, assignment: Mapping[str, Any]) -> Trace:
        trace = self._tracer.run(assignment)
        earlier: dict[str, Any] = {}
        for name, value in trace.values.items():
            if name not in self._contexts:
                self._contexts[name] = dict(earlier)
                self._revealed.append((name, dict(earlier)))
            earlier[name] = value
        return trace

    def _located(self) -> list[str]:
        """Returns the parameters found so far, each with the smallest context that activates it."""
        names = []
        while self._revealed:
            name, values = self._revealed.pop(0)
            self._contexts[name] = self._least(name, values)
            names.append(name)
        return names

    def _least(self, name: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the values that a parameter needs to be active; the rest are defaults.

        Delta debugging (Zeller and Hildebrandt 2002, doi:10.1109/32.988498): halves are taken out
        first, then smaller parts.
        """
        parameters = self._tracer.parameters
        left = [
            each
            for each, value in values.items()
            if parameters[each].identity(value)
            != parameters[each].identity(parameters[each].default)
        ]
        size = len(left)
        while size >= 1:
            start = 0
            while start < len(left):
                fewer = left[:start] + left[start + size :]
                if name in self._run({each: values[each] for each in fewer}).values:
                    left = fewer
                else:
                    start += size
            size //= 2
        return {each: values[each] for each in left}

    def _probe(self, names: Iterable[str]) -> None:
        """Tries the values of parameters, those with the same context together."""
        groups: list[tuple[dict[str, Any], list[Parameter]]] = []
        for name in names:
            context = self._contexts[name]
            group = next((group for known, group in groups if known == context), None)
            if group is None:
                group = []
                groups.append((context, group))
            group.append(self._tracer.parameters[name])
        for context, group in groups:
            self._probe_ranges(context, [each for each in group if not is_few(each)])
            self._probe_domains(context, group)
            for parameter in group:
                if is_few(parameter):
                    for value in values_of(parameter):
                        self._run({**context, parameter.name: value})

    def _probe_ranges(self, context: Mapping[str, Any], ranges: list[Parameter]) -> None:
        """Tries long ranges: all of them at once, and singly only if that makes a difference."""
        if not ranges:
            return
        home = _outcome(self._run(context))
        together = []
        for place in (0.0, 1.0, 0.5):
            values = {each.name: _at(each, place) for each in ranges}
            together.append(_outcome(self._run({**context, **values})))
        if all(outcome == home for outcome in together):
            return
        for parameter in ranges:
            self._probe_range(context, parameter)

    def _probe_domains(self, context: Mapping[str, Any], new: list[Parameter]) -> None:
        """Tries the ends of what is declared before something new, whose domain may follow."""
        if not context:
            return
        names = [each.name for each in new]
        declared = list(self._run(context).values)
        places = [declared.index(name) for name in names if name in declared]
        before = declared[: min(places, default=0)]
        ranges = [self._tracer.parameters[name] for name in before if name not in context]
        for place in (0.0, 1.0):
            values = {each.name: _at(each, place) for each in ranges if not is_few(each)}
            self._run({**context, **values})

    def _probe_range(self, context: Mapping[str, Any], parameter: Parameter) -> None:
        values = values_of(parameter)

        def look(index: int) -> tuple[frozenset[str], str | None]:
            return _outcome(self._run({**context, parameter.name: values[index]}))

        if parameter.count is None:
            for index in range(len(values)):
                look(index)
        else:
            survey(parameter.count, landmarks(parameter.count), look)

    def _activate_explicit(self) -> None:
        """Builds once for each parameter that was declared only in inactive scopes so far."""
        tracer = self._tracer
        for name in list(tracer.parameters):
            if name in self._contexts or name in self._asked:
                continue
            self._asked.add(name)
            condition = explicit_condition(tracer.occurrences[name], tracer.parameters) or {}
            values = {parent: allowed[0] for parent, allowed in condition.items()}
            contexts: dict[str, Any] = {}
            for parent in condition:
                contexts.update(self._contexts.get(parent, {}))
            self._run({**contexts, **values})

    def _expected(self, trace: Trace, conditions: Mapping[str, Condition | None]) -> bool:
        """Returns whether a build declared exactly what the conditions say."""
        if trace.error is not None:
            return True
        parameters = self._tracer.parameters
        active: set[str] = set()
        for name in parameters:
            condition = conditions.get(name)
            if condition is not None and all(
                parent in active
                and parent in trace.values
                and parameters[parent].identity(trace.values[parent])
                in [parameters[parent].identity(value) for value in values]
                for parent, values in condition.items()
            ):
                active.add(name)
        return active == set(trace.values)


def _outcome(trace: Trace) -> tuple[frozenset[str], str | None]:
    return frozenset(trace.values), trace.error


def _at(parameter: Parameter, place: float) -> Any:
    values = values_of(parameter)
    if parameter.count is None:
        return values[round(place * (len(values) - 1))]
    return values[landmarks(len(values))[0 if place == 0.0 else 1 if place == 1.0 else 2]]
