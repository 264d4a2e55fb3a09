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

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from search_spaces.space.search_space import SearchSpace
from search_spaces.translations.encoded_space import EncodedSpace
from search_spaces.translations.optuna_encodings import OptunaEncoding, encoding_of

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import BaseTrial


class OptunaSpace(EncodedSpace[OptunaEncoding]):
    """Translates between the values of a search space and what Optuna stores of a trial."""

    library = "Optuna"

    def __init__(self, space: SearchSpace) -> None:
        super().__init__(space, encoding_of)

    @property
    def names(self) -> dict[str, str]:
        """The name of every parameter that varies, by its name in Optuna."""
        return dict(self._stored_names)

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """The distribution of every parameter that varies, by its name in Optuna."""
        return {each.name: each.distribution() for each in self._encodings.values()}

    def suggest(self, trial: BaseTrial) -> dict[str, Any]:
        """Returns the values that a trial of Optuna suggests, as `decode` does."""
        return self._walk(lambda encoding: encoding.decode(encoding.suggest(trial)))

    def encode(
        self, values: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
        """Returns the params and distributions that Optuna stores of a trial with these values.

        They are what `suggest` stored when it returned these values; only the last digits of a
        reverse_log Float may differ.

        Raises:
            SearchSpaceError: If the values are not in the space.
        """
        active = self._active(values)
        params = {each.name: each.encode(values[each.parameter.name]) for each in active}
        return params, {each.name: each.distribution() for each in active}
