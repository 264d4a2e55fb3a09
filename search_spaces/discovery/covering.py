"""Covering: builds for every pair of values, to find what depends on two of them.

After the builds for single values, these look for `if a and b:`. As in combinatorial testing
(Kuhn, Wallace and Gallo 2004, doi:10.1109/TSE.2004.24, find most failures of software to depend on
one or two of its parameters), one build covers many pairs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from search_spaces.discovery.inference import Condition, Key, needs
from search_spaces.discovery.probing import is_few, values_of
from search_spaces.discovery.tracing import Tracer

MOST_PAIRS: Final = 16
"""Two parameters with more pairs of values than this are not paired: each pair needs a build of
its own, whatever else varies in it."""

Item = tuple[str, Key]


class Covering:
    """Chooses values that combine pairs which no build has combined yet."""

    def __init__(self, tracer: Tracer, contexts: Mapping[str, Mapping[str, Any]]) -> None:
        self._tracer, self._contexts = tracer, contexts
        self._parameters = tracer.parameters
        self._met: set[frozenset[Item]] = set()
        self._read = 0
        self._tried: set[frozenset[Item]] = set()

    def next_row(self, conditions: Mapping[str, Condition | None]) -> dict[str, Any] | None:
        """Returns values for the next build, by name; None if no pair is left to combine.

        Pairs that the conditions, as far as known, rule out are skipped.
        """
        self._read_traces()
        domains = self._domains()
        for first, second in _pairs(list(domains)):
            if len(domains[first]) * len(domains[second]) > MOST_PAIRS:
                continue
            for one in domains[first]:
                for other in domains[second]:
                    pair = frozenset([self._item(first, one), self._item(second, other)])
                    if pair in self._met or pair in self._tried:
                        continue
                    self._tried.add(pair)
                    row = self._row({first: one, second: other}, domains, conditions)
                    if row is not None:
                        return row
        return None

    def _row(
        self,
        fixed: dict[str, Any],
        domains: Mapping[str, list[Any]],
        conditions: Mapping[str, Condition | None],
    ) -> dict[str, Any] | None:
        needed = self._needed(fixed, conditions)
        if not all(needed.values()):
            return None
        chosen = dict(fixed)
        for name, values in domains.items():
            if name in fixed:
                continue
            best, most = None, 0
            for value in values:
                item = self._item(name, value)
                new = sum(
                    frozenset([item, self._item(other, chosen[other])]) not in self._met
                    for other in chosen
                    if len(domains[other]) * len(values) <= MOST_PAIRS
                )
                if new > most and all(self._needed({**chosen, name: value}, conditions).values()):
                    best, most = value, new
            if most:
                chosen[name] = best
        needed = self._needed(chosen, conditions)
        return {**self._supporting(fixed, needed), **chosen}

    def _needed(
        self, chosen: Mapping[str, Any], conditions: Mapping[str, Condition | None]
    ) -> Condition:
        wanted: Condition = {name: (value,) for name, value in chosen.items()}
        return needs(wanted, conditions, self._parameters)

    def _supporting(self, fixed: Mapping[str, Any], needed: Condition) -> dict[str, Any]:
        """Returns values of the parents that worked in a build, else the default if it fits."""
        row: dict[str, Any] = {}
        for name in fixed:
            row = {**self._contexts.get(name, {}), **row}
        for name, values in needed.items():
            keys = [self._item(name, value)[1] for value in values]
            given = row.get(name, self._parameters[name].default)
            row[name] = given if self._item(name, given)[1] in keys else values[0]
        return row

    def _domains(self) -> dict[str, list[Any]]:
        """Returns the parameters to pair, with their values that do not always raise.

        A parameter that was never active is not among them.
        """
        sound: dict[str, set[Key]] = {}
        for trace in self._tracer.traces:
            if trace.error is None:
                for name, value in trace.values.items():
                    sound.setdefault(name, set()).add(self._item(name, value)[1])
        return {
            name: [
                value
                for value in values_of(parameter)
                if self._item(name, value)[1] in sound.get(name, ())
            ]
            for name, parameter in self._parameters.items()
            if parameter.count != 1 and is_few(parameter)
        }

    def _read_traces(self) -> None:
        for trace in self._tracer.traces[self._read :]:
            items = [
                self._item(name, value)
                for name, value in trace.values.items()
                if is_few(self._parameters[name])
            ]
            self._met.update(frozenset(pair) for pair in _pairs(items))
        self._read = len(self._tracer.traces)

    def _item(self, name: str, value: Any) -> Item:
        return name, self._parameters[name].identity(value)


def _pairs(items: list[Any]) -> Iterator[tuple[Any, Any]]:
    for index, first in enumerate(items):
        for second in items[index + 1 :]:
            yield first, second
