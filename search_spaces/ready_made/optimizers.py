"""The optimizer as a parameter, with the learning rate and the momentum that go with each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from search_spaces.errors import SearchSpaceError
from search_spaces.parameters.choice_parameter import Choice
from search_spaces.parameters.parameter import Parameter
from search_spaces.parameters.scalars import NOT_GIVEN, MaybeScalar
from search_spaces.ready_made import training
from search_spaces.ready_made.keras_names import OPTIMIZERS, UNUSABLE_OPTIMIZERS, check_names

LEARNING_RATES: Final[Mapping[str, tuple[float, float, float]]] = {
    "adadelta": (1e-3, 1.0, 1e-3),
    "adafactor": (1e-4, 1e-1, 1e-3),
    "adagrad": (1e-4, 1.0, 1e-3),
    "adam": (1e-5, 1e-2, 1e-3),
    "adamax": (1e-5, 1e-2, 1e-3),
    "adamw": (1e-5, 1e-2, 1e-3),
    "ftrl": (1e-4, 1e-1, 1e-3),
    "lion": (1e-6, 1e-2, 1e-3),
    "muon": (1e-4, 1e-1, 1e-3),
    "nadam": (1e-5, 1e-2, 1e-3),
    "rmsprop": (1e-5, 1e-2, 1e-3),
    "schedulefreeadamw": (1e-4, 1e-1, 2.5e-3),
    "sgd": (1e-4, 1.0, 1e-2),
}
"""By optimizer: lowest and highest learning rate to search, and Keras's default (dimensionless).

The defaults are those of https://keras.io/api/optimizers/. The ranges are our own choice around
them: wide enough to hold what the pages advise (Adadelta at 1.0 as in its paper, higher rates for
Adagrad, lower ones for Lion, as in arXiv:2302.06675).
"""

MOMENTUM_OPTIMIZERS: Final = ("muon", "rmsprop", "sgd")
"""The optimizers whose Keras class takes a `momentum`."""


def optimizer(
    values: Sequence[str] = ("adam", "sgd", "rmsprop"),
    *,
    learning_rate: bool = False,
    momentum: bool = False,
    name: str = "optimizer",
    default: str | None = None,
    role: str = "nuisance",
    when: Mapping[str, object] | None = None,
    otherwise: MaybeScalar = NOT_GIVEN,
) -> Choice | tuple[Parameter, ...]:
    """Which optimizer, by its Keras name, and what goes with each.

    Choi et al. 2019 (arXiv:1910.05446) show that optimizers compare fairly only if each is tuned
    in its own range: `learning_rate=True` and `momentum=True` give each one that takes it its own
    parameter, active only with it.

    Args:
        values: Names from https://keras.io/api/optimizers/, such as "adam"; see `OPTIMIZERS`.
        learning_rate: Whether to add "adam.learning_rate" and so on, with the ranges and defaults
            of `LEARNING_RATES`.
        momentum: Whether to add "sgd.momentum" and so on; see `MOMENTUM_OPTIMIZERS`.
        name: What the choice is called.
        default: The optimizer to begin with; left out, the first.
        role: "nuisance" or "scientific"; of the choice. What goes with it is nuisance.
        when: The condition under which the choice, and all that goes with it, is active.
        otherwise: What a builder reads for the choice while it is not active.

    Returns:
        A Choice; with what goes with it, a group.

    Raises:
        SearchSpaceError: If Keras has no optimizer of that name, with near matches; or if momentum
            is asked for and none of the optimizers has it.

    Example:
        >>> ks.optimizer(["adam", "sgd"], learning_rate=False)
        Choice('optimizer', ['adam', 'sgd'])
        >>> ks.SearchSpace(ks.optimizer(["adam"], learning_rate=True)).names
        ('optimizer', 'adam.learning_rate')
    """
    names = check_names(
        values,
        "optimizer",
        OPTIMIZERS,
        unusable=UNUSABLE_OPTIMIZERS,
        # Keras looks optimizers up in lower case, whatever the case they are given in.
        spelled=str.lower,
    )
    choice = Choice(
        name,
        names,
        default=NOT_GIVEN if default is None else default,
        role=role,
        when=when,
        otherwise=otherwise,
    )
    if not learning_rate and not momentum:
        return choice
    if momentum and not any(each.lower() in MOMENTUM_OPTIMIZERS for each in names):
        raise SearchSpaceError(
            f"momentum=True, and none of {list(names)!r} has a momentum: leave it out, or add one "
            f"of {list(MOMENTUM_OPTIMIZERS)!r}."
        )
    group: list[Parameter] = [choice]
    for each in names:
        if learning_rate:
            low, high, first = LEARNING_RATES[each.lower()]
            group.append(
                training.learning_rate(
                    low, high, name=f"{each}.learning_rate", default=first, when={name: each}
                )
            )
        if momentum and each.lower() in MOMENTUM_OPTIMIZERS:
            group.append(training.momentum(name=f"{each}.momentum", when={name: each}))
    return tuple(group)
