"""Variables that a training keeps beyond the weights and the optimizer's: of losses, of metrics.

A state of a training has them too, if they can be identified reliably.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from studies.training.process.determinism import seed_generator_states
from studies.training.structures.code_reading import library_of
from studies.training.structures.structure import Structure
from studies.training.variables import saved_variables

if TYPE_CHECKING:
    import keras


class Beyond(NamedTuple):
    """The variables of a training beyond its weights, in an order that the builder fixes."""

    variables: Sequence[keras.Variable]
    # Why a state can't hold all of them.
    reason: str = ""

    @property
    def names(self) -> list[str]:
        """The identity of the variables: places, types and shapes."""
        return [f"{v.path} {v.dtype} {tuple(v.shape)}" for v in self.variables]


def beyond_weights(model: keras.Model, structure: Structure | None = None) -> Beyond:
    """Finds the variables of a training beyond its weights.

    Left out are the model's own seed generators, which are set for each epoch, and the metrics of
    Keras's that are reset for each.
    """
    structure = structure or Structure(model)
    if structure.state:
        return Beyond((), f"the model holds {structure.state}")
    if structure.of_libraries:
        return Beyond(())
    known = {id(v) for v in (*saved_variables(model), *seed_generator_states(model))}
    known |= _reset_each_epoch(model)
    found = [variable for variable in structure.variables if id(variable) not in known]
    if found and structure.reason:
        # Their order may differ next time.
        return Beyond((), f"the model holds {structure.reason}, and variables beyond its weights")
    return Beyond(found)


def _reset_each_epoch(model: keras.Model) -> set[int]:
    waiting: list[Any] = list(getattr(model, "metrics", ()))
    found: set[int] = set()
    while waiting:
        metric = waiting.pop()
        if library_of(type(metric)) != "keras":
            continue
        inner = getattr(metric, "metrics", None)
        if inner:
            # A metric that only holds others.
            waiting += inner
        else:
            found |= {id(variable) for variable in metric.variables}
    return found
