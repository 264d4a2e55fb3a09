"""Private parts of Keras Tuner that our subclasses of its oracles call or override.

The public `create_trial` and `end_trial` write files, print, and stop after some failures. If a
private part is missing, the engine is refused before anything is trained, because without the part
it might propose other values than Keras Tuner.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from studies.library_internals.private_api_lookup import AttributePart

_LIBRARY = "keras-tuner"
_seed_state = AttributePart(_LIBRARY, "Oracle", "_seed_state")
_duplicate = AttributePart(_LIBRARY, "Oracle", "_duplicate")
_random_values = AttributePart(_LIBRARY, "Oracle", "_random_values")
_random_state = AttributePart(_LIBRARY, "BayesianOptimizationOracle", "_random_state")
_vectors = AttributePart(_LIBRARY, "BayesianOptimizationOracle", "_vectorize_trials")
_at_random = AttributePart(_LIBRARY, "BayesianOptimizationOracle", "_random_populate_space")
_brackets = AttributePart(_LIBRARY, "HyperbandOracle", "_brackets")
_start_bracket = AttributePart(_LIBRARY, "HyperbandOracle", "_start_new_bracket")
_count_bracket = AttributePart(_LIBRARY, "HyperbandOracle", "_increment_bracket_num")
_size = AttributePart(_LIBRARY, "HyperbandOracle", "_get_size")
_current_bracket = AttributePart(_LIBRARY, "HyperbandOracle", "_current_bracket")
_current_round = AttributePart(_LIBRARY, "HyperbandOracle", "_current_iteration")

_ALL: Final = (_seed_state, _duplicate, _random_values)
_NEEDED: Final[Mapping[str, tuple[AttributePart, ...]]] = {
    "keras-tuner:bayesian": (_random_state, _vectors, _at_random),
    "keras-tuner:hyperband": (
        _brackets,
        _start_bracket,
        _count_bracket,
        _size,
        _current_bracket,
        _current_round,
    ),
}


def check_parts(engine: str, oracle: Any) -> None:
    """Raises MissingPartError if an oracle lacks a private part that its engine uses."""
    for part in (*_ALL, *_NEEDED.get(engine, ())):
        part.of(oracle)


def vectors_of(kind: Any, oracle: Any) -> tuple[Any, Any]:
    """Returns an oracle's trials as vectors, by a private method of Keras Tuner's class `kind`."""
    result: tuple[Any, Any] = _vectors.of(kind)(oracle)
    return result


def random_values(kind: Any, oracle: Any) -> dict[str, Any] | None:
    """Returns values that an oracle draws, by a private method of Keras Tuner's class `kind`."""
    result: dict[str, Any] | None = _random_values.of(kind)(oracle)
    return result


def start_bracket(kind: Any, oracle: Any) -> None:
    """Starts a bracket of Hyperband, by a private method of Keras Tuner's class `kind`."""
    _start_bracket.of(kind)(oracle)
