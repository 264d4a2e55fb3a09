"""A search space in Optuna's terms: asking a trial for values, and reading values back.

Optuna knows floats (linear, logarithmic, in linear steps), ints (linear, logarithmic, in linear
steps) and categories. A parameter that it knows keeps its name there. Others are encoded, under a
name that says how, so that a dashboard does not mislead:

    parameter                                        in Optuna
    Float, Int: linear, log                          the same, under the same name
    Float: linear with a step that Optuna can keep   FloatDistribution(step=…), the same name
    Float: any other step; Int: log with a step      "x (index)": the index of the value
    Float, Int: reverse_log                          "x (reversed)": low + high - value, log
    Choice of values that differ under Python's ==   the values, under the same name
    any other Choice, such as of 1 and True          their JSON spellings, under the same name
    Boolean                                          False and True, under the same name
    Fixed                                            nothing

Optuna is imported only when a space is translated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from search_spaces.errors import SearchSpaceError
from search_spaces.parameters.conditions import condition_in_words, holds
from search_spaces.space.search_space import SearchSpace
from search_spaces.suggestions import suggestion
from search_spaces.translations.optuna_encodings import Encoding, encoding_of

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import BaseTrial


class OptunaSpace:
    """Translates between the values of a search space and what Optuna stores of a trial."""

    def __init__(self, space: SearchSpace) -> None:
        """Chooses an encoding for each parameter.

        Raises:
            SearchSpaceError: If a parameter is called what another one's encoding is called.
        """
        self._space = space
        self._encodings: dict[str, Encoding] = {}
        for parameter in space.parents_first:
            encoding = encoding_of(parameter)
            if encoding is not None:
                self._encodings[parameter.name] = encoding
        self._stored_names = {each.name: name for name, each in self._encodings.items()}
        for name, encoding in self._encodings.items():
            if encoding.name != name and encoding.name in self._encodings:
                raise SearchSpaceError(
                    f"Optuna gets {name!r} under the name {encoding.name!r}, which is also a "
                    f"parameter of the space: give that one another name."
                )

    @property
    def space(self) -> SearchSpace:
        """The space that is translated."""
        return self._space

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """The distribution of every parameter that varies, by its name in Optuna."""
        return {each.name: each.distribution() for each in self._encodings.values()}

    def suggest(self, trial: BaseTrial) -> dict[str, Any]:
        """Asks a trial for values.

        Args:
            trial: What `study.ask()` returned, or what an objective received.

        Returns:
            Values in the space, exactly as declared, in declared order: those of the active
            parameters, Fixed ones included.
        """
        return self._walk(lambda encoding: encoding.decode(encoding.suggest(trial)))

    def encode(
        self, values: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
        """Returns what Optuna stores of a trial with these values.

        Raises:
            SearchSpaceError: If the values are not in the space.
        """
        self._space.validate(values)
        active = [each for name, each in self._encodings.items() if name in values]
        params = {each.name: each.encode(values[each.parameter.name]) for each in active}
        return params, {each.name: each.distribution() for each in active}

    def decode(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the values of a trial of which Optuna stored these params.

        Args:
            params: The `params` of a trial.

        Returns:
            Values in the space, exactly as declared, in declared order.

        Raises:
            SearchSpaceError: If a param is unknown, missing, not active, or not of its domain: the
                trial is of another space.
        """
        for name in params:
            if name not in self._stored_names:
                raise SearchSpaceError(
                    f"Optuna's {name!r} is not of this search space. "
                    f"{suggestion(name, self._stored_names)}"
                )

        def stored(encoding: Encoding) -> Any:
            if encoding.name not in params:
                raise SearchSpaceError(
                    f"Optuna's params have no {encoding.name!r}, and "
                    f"{encoding.parameter.subject} is active; received {dict(params)!r}. Is the "
                    f"trial unfinished, or of another space?"
                )
            return encoding.decode(params[encoding.name])

        values = self._walk(stored)
        for name in params:
            inactive = self._stored_names[name]
            if inactive not in values:
                raise SearchSpaceError(
                    f"Optuna's params have {name!r}: {params[name]!r}, which is not active: "
                    f"{condition_in_words(self._space[inactive])}."
                )
        return values

    def _walk(self, value_of: Callable[[Encoding], Any]) -> dict[str, Any]:
        """Goes through the active parameters, parents first, taking the value of each."""
        by_name = {parameter.name: parameter for parameter in self._space}
        values: dict[str, Any] = {}
        for parameter in self._space.parents_first:
            if holds(parameter, by_name, values):
                encoding = self._encodings.get(parameter.name)
                values[parameter.name] = (
                    parameter.default if encoding is None else value_of(encoding)
                )
        return {name: values[name] for name in self._space.names if name in values}
