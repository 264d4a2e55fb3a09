"""Discovery: the search space of a builder that declares its hyperparameters as it goes.

The builder is run on chosen values: the defaults; every other value of each parameter (of a long
range its ends and middle), in the surroundings in which the parameter first appeared; and pairs of
values. Which parameters a build declares then tells under which condition each is active. Nothing
is random: the same builder has the same space, on every machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from search_spaces.errors import SearchSpaceError
from search_spaces.exploration import Exploration
from search_spaces.inference import Condition, Inference
from search_spaces.parameter import Parameter
from search_spaces.parameters import parameter_from_dict
from search_spaces.space import SearchSpace
from search_spaces.tracing import LimitReachedError, Tracer

USUAL_LIMIT: Final = 300
"""A Keras builder takes 10 to 50 ms: 3 to 15 seconds, once for a study. A builder of some 15
parameters needs 20 to 60 builds."""


class Discovery(NamedTuple):
    """What was found.

    Attributes:
        space: The search space, in the order in which parameters were first declared.
        builds: How many times the builder was run.
        complete: Whether all was tried that was to be tried; if not, more may join at run time.
        notes: What a user should know: values for which the builder raises, a limit reached.
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
) -> Discovery:
    """Finds what a builder declares, through all its branches.

    Conditions that the builder states (`conditional_scope`, `parent_name`) are taken as they are.
    Others are inferred: that a parameter is active only if others have certain values. A condition
    that can't be stated so is loosened: the parameter is then active more often than it is used.

    What a builder declares only if three parameters at once have values other than their defaults,
    or only for a number that lies between two for which it declares the same, is not found; it
    joins at run time (see `Hyperparameters.joined`).

    Args:
        build: The builder, called with an `hp` (or `trial`); what it returns is ignored.
        before: Called before each build, to reset global state.
        limit: The most builds, 1 or more.

    Returns:
        The space, and how it was found.

    Raises:
        SearchSpaceError: If the builder declares nothing, or something wrongly, or one name with
            two domains; or if it raises whatever the values.
    """
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        raise SearchSpaceError(f"limit must be an int of 1 or more, received {limit!r}.")
    tracer = Tracer(build, before, limit)
    complete = True
    try:
        conditions = Exploration(tracer).explore()
    except LimitReachedError:
        complete = False
        conditions = Inference(tracer, tracer.known).conditions()
    _check_sound(tracer)
    notes = tracer.notes()
    never = [name for name, condition in conditions.items() if condition is None]
    notes += [
        f"{name!r} is declared under a condition that can't be met, and is left out."
        for name in never
    ]
    if not complete:
        notes.append(
            f"The limit of {limit} builds was reached before all was tried: what shows later joins "
            f"with its default. Raise the limit, or declare the space."
        )
    return Discovery(_space(tracer, conditions), len(tracer.traces), complete, tuple(notes))


def _check_sound(tracer: Tracer) -> None:
    """Checks that there is something to search, and some values with which the builder works.

    Raises:
        SearchSpaceError: If not.
    """
    if all(trace.error is not None for trace in tracer.traces):
        raise SearchSpaceError(
            f"The builder raised an error in each of {len(tracer.traces)} builds; in the first, "
            f"with default values: {tracer.traces[0].error}. Mend it, and try it with "
            f"build(Hyperparameters(space, space.defaults()))."
        ) from tracer.first_error
    if not tracer.parameters:
        raise SearchSpaceError(
            "The builder declares no hyperparameters: declare some in it, with "
            "hp.Float('dropout', 0.0, 0.5) or trial.suggest_float('dropout', 0.0, 0.5), or declare "
            "a SearchSpace and read hp['dropout']."
        )


def _space(tracer: Tracer, conditions: Mapping[str, Condition | None]) -> SearchSpace:
    """The space, with every condition loosened that a build speaks against."""
    kept = {name: condition for name, condition in conditions.items() if condition is not None}
    if not kept:
        raise SearchSpaceError(
            "Whatever the builder declares is under conditions that can't be met: "
            f"{', '.join(map(repr, conditions))}. Look at their parents' values."
        )
    while True:
        space = SearchSpace(
            _conditioned(tracer.parameters[name], condition) for name, condition in kept.items()
        )
        wrong = {
            name
            for trace in tracer.traces
            for name in set(trace.values).difference(space.active(trace.values))
            if kept[name]
        }
        if not wrong:
            return space
        kept.update({name: {} for name in wrong})


def _conditioned(parameter: Parameter, condition: Condition) -> Parameter:
    content = parameter.to_dict()
    if condition:
        content["when"] = {parent: list(values) for parent, values in condition.items()}
    return parameter_from_dict(content)
