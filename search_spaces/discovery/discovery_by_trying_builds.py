"""Finds the search space of a builder that declares its hyperparameters inline.

The builder is run many times: with the defaults, with other values of each parameter, and with
pairs of values. A parameter that only some of these builds declare gets a condition. Nothing is
random: the same builder has the same space on every machine.

The values of these builds are chosen by three rules:

- All values of choices and of short ranges are tried.
- In a long range, the ends and the middle are tried. If two of these builds declare different
  parameters, bisection finds the values at which the declared parameters change.
- Further builds combine pairs of values, to find branches such as `if a and b:`. One build covers
  many pairs. Three values at once are not tried: most failures of software depend on one or two
  parameters (Kuhn, Wallace and Gallo 2004, doi:10.1109/TSE.2004.24).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from search_spaces.argument_checks import whole_number
from search_spaces.discovery.builder_tracer import (
    ClashError,
    Key,
    LimitReachedError,
    Trace,
    Tracer,
    is_few,
    landmarks,
    survey,
    values_of,
)
from search_spaces.discovery.inferred_conditions import (
    Conditions,
    conditions_of,
    met_in,
    needs,
    stated_condition,
)
from search_spaces.errors import SearchSpaceError
from search_spaces.parameters import Condition, Parameter, identity
from search_spaces.space import SearchSpace
from search_spaces.trial_hyperparameters import variant_name

USUAL_LIMIT: Final = 300
"""The most builds, unless the caller gives another limit. A build of a Keras model takes 10 to
50 ms, so 300 builds take 3 to 15 seconds. A builder with 15 parameters needs 20 to 60 builds."""

_MOST_RESTARTS: Final = 5
"""How often all builds may be repeated because a domain got wider. For example, the domain of
`hp.Int("b", 1, a)` gets wider in every build with a larger `a` than before."""

_MOST_PAIRS: Final = 16
"""The most pairs of values of two parameters whose values are combined. If two parameters have more
pairs, discovery does not combine their values, since each pair takes a build."""

Item = tuple[str, Key]
"""A parameter's name and one of its values."""


class Discovery(NamedTuple):
    """The outcome of a discovery.

    Attributes:
        space: The search space, in the order in which parameters were first declared.
        builds: How many times the builder was run.
        complete: Whether all planned builds were run. If not, a trial may declare new parameters.
        notes: Sentences for the user, for example about values for which the builder raises.
    """

    space: SearchSpace
    builds: int
    complete: bool
    notes: tuple[str, ...]


def discover(
    build: Callable[[Any], object],
    *,
    before: Callable[[], object] | None = None,
    limit: int = USUAL_LIMIT,
    space: SearchSpace | None = None,
    stops: Callable[[Exception], bool] = lambda error: False,
) -> Discovery:
    """Finds the hyperparameters that a builder declares, in all its branches.

    The space has the conditions that the builder states by `conditional_scope` or `parent_name`.
    Other conditions are inferred, such as "active if optimizer is sgd and layers is 2 or 3". A
    condition can't say "if a or b". So a parameter in a branch such as `if a or b:` is active even
    in some trials that do not use it.

    A name that is declared with several domains becomes several parameters if conditions separate
    the domains. Otherwise it becomes one parameter with all the values.

    Discovery can miss a branch that needs three values other than the defaults, or a number in the
    middle of a long range. A parameter in such a branch is not tuned: it has its default in each
    trial that declares it.

    Args:
        build: The builder, called with an `hp` (or `trial`). Its result is ignored.
        before: A function that is called before each build, e.g. to reset global state.
        limit: The largest number of builds, at least 1.
        space: A space declared outside the builder. The builder's declarations are added to it.
        stops: A function that gets each exception of the builder. If it returns True, the discovery
            ends and raises the exception.

    Returns:
        The space, and how it was found.

    Raises:
        SearchSpaceError: If the builder declares nothing, if a declaration is wrong, if one name
            has domains of different kinds, or if every build raises an exception.
        Exception: If the builder raises it and `stops` returns True.

    Example:
        >>> def build(hp):
        ...     if hp.Boolean("dropout"):
        ...         hp.Float("rate", 0.1, 0.5)
        >>> space = ks.discover(build).space
        >>> dict(space["rate"].when)
        {'dropout': (True,)}
    """
    whole_number("limit", limit, SearchSpaceError)
    merged: dict[str, Parameter] = {}
    builds = widened = 0
    while True:
        tracer = Tracer(build, before, max(1, limit - builds), stops, space, merged)
        traced = _traced(tracer)
        builds += len(tracer.traces)
        widened += tracer.widened
        # If a domain got wider, earlier builds could not try its new values. So all builds are
        # repeated.
        again = tracer.widened and widened < _MOST_RESTARTS
        if traced is not None and not (again and traced.complete):
            break
        merged = {**tracer.merged, **{n: tracer.one_domain(n) for n in tracer.clashes}}
    complete, inferred, conditions = traced
    notes = tracer.notes()
    notes += [
        f"{tracer.declared_as(key)!r} is declared under a condition that can't be met, and is left "
        f"out."
        for key, condition in inferred.items()
        if condition is None
    ]
    notes += [
        f"{name!r} is declared with several domains, and no condition separates them: "
        f"{tracer.parameters[name]!r} is searched, which has the values of all these domains."
        for name in tracer.merged
        if name in conditions
    ]
    if not complete:
        notes.append(
            f"The limit of {min(builds, limit)} builds was reached before all values were tried: "
            f"a hyperparameter that was missed keeps its default in every trial. Raise "
            f"the limit, or declare the space."
        )
    return Discovery(_named(tracer, conditions), builds, complete, tuple(notes))


class _Traced(NamedTuple):
    complete: bool
    """Whether all planned builds were run."""
    inferred: Conditions
    conditions: dict[str, Condition]
    """The inferred conditions that can be met. Conditions that a build contradicts are empty."""


def _traced(tracer: Tracer) -> _Traced | None:
    """Runs the builds. Returns None if they must be repeated with merged domains of a name."""
    complete = True
    try:
        inferred = _Explorer(tracer).explore()
    except ClashError:
        return None
    except LimitReachedError:
        complete = False
        inferred = conditions_of(tracer, tracer.known)
    _check_sound(tracer)
    conditions = _consistent(tracer, inferred)
    tracer.clashes.update(n for n in tracer.variants if not _separate(n, tracer, conditions))
    return None if tracer.clashes else _Traced(complete, inferred, conditions)


def _separate(name: str, tracer: Tracer, conditions: Mapping[str, Condition]) -> bool:
    """Returns whether no trial can have two active parameters of this name."""
    keys = [key for key in tracer.variants[name] if key in conditions]
    if len(keys) < 2:
        return True
    for key in keys:
        stated = stated_condition(tracer, key) or {}
        inferred = [parent for parent in conditions[key] if parent not in stated]
        if not conditions[key] or not all(is_few(tracer.parameters[p]) for p in inferred):
            return False
    needed = [needs(conditions[key], {**conditions}, tracer) for key in keys]
    return all(_exclude(one, other) for one, other in itertools.combinations(needed, 2))


def _exclude(one: Condition, other: Condition) -> bool:
    """Returns whether two conditions can't be met at once."""
    return any(
        not {identity(v) for v in one[parent]} & {identity(v) for v in other[parent]}
        for parent in one
        if parent in other
    )


def _check_sound(tracer: Tracer) -> None:
    """Raises SearchSpaceError if every build raised, or if nothing was declared."""
    if all(trace.error is not None for trace in tracer.traces):
        raise SearchSpaceError(
            f"The builder raised an error in each of {len(tracer.traces)} builds; in the first, "
            f"with default values: {tracer.traces[0].error}",
            hint="Mend the builder, and call it with Hyperparameters(space, space.defaults()).",
        ) from tracer.first_error
    if not tracer.parameters:
        raise SearchSpaceError(
            "The builder declares no hyperparameters",
            hint="Declare some: hp.Float('dropout', 0.0, 0.5) or trial.suggest_float('dropout', "
            "0.0, 0.5). Or declare a SearchSpace, and read hp['dropout'].",
        )


def _consistent(tracer: Tracer, inferred: Conditions) -> dict[str, Condition]:
    """Returns the conditions that can be met.

    A condition is contradicted if a build declared the parameter although the build's values do not
    meet the condition. Such a condition becomes empty, so that the parameter is always active.
    """
    conditions = {name: condition for name, condition in inferred.items() if condition is not None}
    while True:
        space = _space(tracer, conditions)
        wrong = {
            name
            for trace in tracer.traces
            for name in set(trace.values).difference(space.active(trace.values))
            if conditions[name]
        }
        if not wrong:
            return conditions
        conditions.update({name: {} for name in wrong})


def _space(tracer: Tracer, conditions: Mapping[str, Condition]) -> SearchSpace:
    return SearchSpace(tracer.parameters[k].conditioned(c) for k, c in conditions.items())


def _named(tracer: Tracer, conditions: Mapping[str, Condition]) -> SearchSpace:
    """Returns the discovered space.

    If the builder declares several parameters under one name, the space gives each of them its own
    name, such as "rate when optimizer is sgd".
    """
    several = {
        name for name, keys in tracer.variants.items() if sum(key in conditions for key in keys) > 1
    }
    names: dict[str, str] = {}
    renamed: dict[str, Parameter] = {}
    for key in (parameter.name for parameter in _space(tracer, conditions).parents_first):
        name = tracer.declared_as(key)
        condition = {names[parent]: values for parent, values in conditions[key].items()}
        if name in several:
            name = variant_name(name, condition, {*names.values(), *tracer.variants})
        names[key] = name
        renamed[key] = tracer.parameters[key].renamed(name).conditioned(condition)
    declared = () if tracer.space is None else tracer.space
    declared_names = {parameter.name for parameter in declared}
    return SearchSpace(declared, (renamed[key] for key in conditions if key not in declared_names))


class _Explorer:
    """Chooses values for builds until no build declares anything new."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer, self._parameters = tracer, tracer.parameters
        # A builder may declare a parameter only if other parameters have certain values. For each
        # parameter, this dict has these values, but leaves out values that are defaults.
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
        """Tries the values of new parameters.

        Parameters that are declared under the same values of other parameters share builds.
        """
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
        """Returns the values that other parameters must have so that a parameter is declared.

        Leaves out values that are defaults.
        """
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
        """Adds values of other parameters to a build.

        The values are chosen so that the build covers as many new pairs of values as possible. A
        pair is new if it is not in `earlier`.
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
