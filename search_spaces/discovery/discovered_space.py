"""Finds the search space of a builder that declares its hyperparameters inline.

The builder is run many times: with the defaults, with other values of each parameter, and with
pairs of values. A parameter that only some of these builds declare gets a condition. Nothing is
random: the same builder has the same space on every machine.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from search_spaces.argument_checks import whole_number
from search_spaces.discovery.builder_runs import ClashError, LimitReachedError, Tracer
from search_spaces.discovery.inferred_conditions import (
    Conditions,
    conditions_of,
    is_few,
    needs,
    stated_condition,
)
from search_spaces.discovery.values_to_try import Explorer
from search_spaces.errors import SearchSpaceError
from search_spaces.hp_and_trial_methods import variant_name
from search_spaces.parameters.parameter_and_values import Condition, Parameter, identity
from search_spaces.space import SearchSpace

USUAL_LIMIT: Final = 300
"""The most builds, unless the caller gives another limit. A build of a Keras model takes 10 to
50 ms, so 300 builds take 3 to 15 seconds. A builder with 15 parameters needs 20 to 60 builds."""

_MOST_RESTARTS: Final = 5
"""How often all builds may be repeated because a domain got wider. For example, the domain of
`hp.Int("b", 1, a)` gets wider in every build with a larger `a` than before."""


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
    middle of a long range. A trial that declares a parameter in such a branch gets its default.

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
        inferred = Explorer(tracer).explore()
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
            f"with default values: {tracer.traces[0].error}. Mend the builder, and try it with "
            f"build(Hyperparameters(space, space.defaults()))."
        ) from tracer.first_error
    if not tracer.parameters:
        raise SearchSpaceError(
            "The builder declares no hyperparameters: declare some in it, with "
            "hp.Float('dropout', 0.0, 0.5) or trial.suggest_float('dropout', 0.0, 0.5), or declare "
            "a SearchSpace and read hp['dropout']."
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
    """Returns the discovered space, whose names all differ.

    If a name has several parameters, they get names such as "rate when optimizer is sgd".
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
    taken = {parameter.name for parameter in declared}
    return SearchSpace(declared, (renamed[key] for key in conditions if key not in taken))
