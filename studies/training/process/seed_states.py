"""The seed generators of a training besides the model's own: those of losses and metrics."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from studies.training.process.determinism import states_beside
from studies.training.structures.structure import Structure

if TYPE_CHECKING:
    import keras

_log = logging.getLogger(__name__)


class SeedStates:
    """Finds them.

    Args:
        model: Compiled.
        changes: Whether callbacks may change what it reaches.
        structure: Its structure, if it is known.
    """

    def __init__(
        self, model: keras.Model, *, changes: bool, structure: Structure | None = None
    ) -> None:
        self._model, self._changes, self._structure = model, changes, structure
        # Those that are made when a loss is first called are found before the second epoch.
        self._readings = 2 if structure is None else 0

    def beside(self) -> list[Any]:
        """Returns the variables that hold their states, in an order that the structure fixes."""
        known = self._structure
        if known is None or ((self._changes or self._readings > 0) and not known.of_libraries):
            self._readings -= 1
            try:
                known = self._structure = Structure(self._model)
            except Exception:
                # Another version of Keras: `fit` must train nevertheless.
                _log.debug("the structure can't be read", exc_info=True)
                return []
        # Libraries' own losses and metrics draw nothing.
        return [] if known.of_libraries else states_beside(self._model, known.variables)
