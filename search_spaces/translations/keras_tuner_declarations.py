"""The search space that a `keras_tuner.HyperParameters` object declares.

Reads its public attributes only: Keras Tuner itself is not imported.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from search_spaces.errors import SearchSpaceError
from search_spaces.inline import translations
from search_spaces.inline.variants import read_as, variant_name
from search_spaces.parameters.parameter import Parameter
from search_spaces.parameters.scalars import NOT_GIVEN, Scalar
from search_spaces.space.search_space import SearchSpace


def is_keras_tuners(space: object) -> bool:
    """Returns whether something is a `keras_tuner.HyperParameters`."""
    kinds = [kind for kind in type(space).__mro__ if kind.__module__.startswith("keras_tuner.")]
    return any(kind.__name__ == "HyperParameters" for kind in kinds)


def space_of_keras_tuners(declared: Any) -> SearchSpace:
    """Returns the space that a `keras_tuner.HyperParameters` declares, with its conditions.

    A name that it declares several times under different conditions becomes several parameters,
    which a builder reads by that name; see `variants`.

    Raises:
        SearchSpaceError: If it declares nothing, or something that can't be searched.
    """
    found = list(declared.space)
    counts = Counter(str(each.name) for each in found)
    made: list[Parameter] = []
    for each in found:
        parameter = _parameter(each)
        condition = _condition(each.conditions, made)
        if condition is None:
            # Under a condition that can't be met.
            continue
        if counts[parameter.name] > 1:
            taken = {*counts, *(other.name for other in made)}
            parameter = parameter.renamed(variant_name(parameter.name, condition, taken))
        made.append(parameter.conditioned(condition))
    return SearchSpace(*made)


def _parameter(each: Any) -> Parameter:
    name, kind = str(each.name), type(each).__name__
    if kind == "Int":
        return translations.keras_tuner_int(
            name, each.min_value, each.max_value, _step(each), each.sampling, each.default
        )
    if kind == "Float":
        return translations.keras_tuner_float(
            name, each.min_value, each.max_value, each.step, each.sampling, each.default
        )
    if kind == "Choice":
        return translations.keras_tuner_choice(name, each.values, each.default)
    if kind == "Boolean":
        return translations.keras_tuner_boolean(name, each.default)
    if kind == "Fixed":
        return translations.keras_tuner_fixed(name, each.value)
    raise SearchSpaceError(
        f"{name!r} is a hyperparameter of type {kind}, which kerastudy does not know: declare it "
        "with Float, Int, Choice, Boolean or Fixed."
    )


def _step(each: Any) -> Any:
    # Of one on a logarithmic scale, Keras Tuner may say 1 for none.
    return None if each.sampling not in (None, "linear") and each.step in (None, 1) else each.step


def _condition(
    conditions: Sequence[Any], made: Sequence[Parameter]
) -> Mapping[str, tuple[Scalar, ...]] | None:
    """Returns a condition by the parents' names in the space; None if it can't be met."""
    found: dict[str, tuple[Scalar, ...]] = {}
    for each in conditions:
        parents = [p for p in made if each.name in (p.name, read_as(p.name))]
        # Of several parents of one name, that under whose conditions this one stands too.
        parent = next((p for p in parents if set(p.when) <= set(found)), None)
        if parent is None:
            return None
        meant = [translations.value_meant(parent, value) for value in each.values]
        values = tuple(value for value in meant if value is not NOT_GIVEN)
        known = found.get(parent.name, values)
        found[parent.name] = tuple(value for value in values if value in known)
        if not found[parent.name]:
            return None
    return found
