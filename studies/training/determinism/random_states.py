"""Sets seeds and random states at the beginning of each trial and each epoch."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from studies.definition.seeds import epoch_seed
from studies.library_internals import keras_internals, tensorflow_internals
from studies.training.determinism.restoring_user_objects import set_back
from studies.training.determinism.tensorflow_settings import restore_settings
from studies.training.model_structure import Structure

if TYPE_CHECKING:
    import keras


_log = logging.getLogger(__name__)
# The seeds that were set since TensorFlow last dropped its kernels, at most `_MOST_SEEDS`.
_seeds_set: Final[list[int]] = []
_MOST_SEEDS = 50


def begin_trial(seed: int) -> None:
    """Sets the seeds. Resets Keras's name counters, changed settings, and changed user objects."""
    # Models with several outputs name metrics after layers. If the counters went on, a layer
    # 'dense' would be 'dense_7' in a later trial.
    keras_internals.begin_anew()
    restore_settings()
    set_back()
    _set_random_seed(seed)


def _set_random_seed(seed: int) -> None:
    """Works like `keras.utils.set_random_seed`, but keeps TensorFlow's kernels where it can.

    `set_random_seed` drops all kernels and optimized functions, because random kernels keep a
    state. Making them again takes 0.2 s for a small model. But each random kernel belongs to one
    seed, so the kernels are dropped only if the seed was used before.
    """
    import keras

    # TensorFlow shortens seeds like this (tensorflow/python/framework/random_seed.py).
    is_new = seed % (2**31 - 1) not in (earlier % (2**31 - 1) for earlier in _seeds_set)
    # Kernels of deleted models stay in memory, so drop them from time to time.
    keeps_kernels = is_new and 0 < len(_seeds_set) < _MOST_SEEDS
    # If TensorFlow's seed is not the last one in `_seeds_set`, other code has set a seed. Kernels
    # with that seed may exist, so drop all kernels.
    if keeps_kernels and tensorflow_internals.global_seed() == _seeds_set[-1]:
        keras_internals.set_global_seed(seed)
        tensorflow_internals.set_global_seed(seed)
        random.seed(seed)
        np.random.seed(seed)
    else:
        _seeds_set.clear()
        keras.utils.set_random_seed(seed)
    _seeds_set.append(seed)


def global_random_states() -> tuple[Any, ...]:
    """Returns the states of Python's, numpy's and Keras's global generators."""
    generator = keras_internals.global_generator()
    state = None if generator is None else generator.state.numpy()
    return random.getstate(), np.random.get_state(), generator, state


def set_global_random_states(states: tuple[Any, ...]) -> None:
    """Sets the states that `global_random_states` returned."""
    python, numpy, generator, state = states
    random.setstate(python)
    np.random.set_state(numpy)
    keras_internals.set_global_generator(generator)
    if generator is not None:
        generator.state.assign(state)


def begin_epoch(model: object, seed: int, epoch: int, others: Sequence[Any] = ()) -> None:
    """Sets the random states for an epoch. `seed` is the trial's seed, and epochs count from 1.

    The seed generator at position i gets the seed ``epoch_seed(seed, epoch, i)``. Positions are
    counted first over the model's own generators, and then over `others`.
    """
    for position, state in enumerate([*seed_generator_states(model), *others]):
        state.assign(np.array([epoch_seed(seed, epoch, position), 0], dtype="uint32"))
    random.seed(epoch_seed(seed, epoch, -1 % 2**32))
    np.random.seed(epoch_seed(seed, epoch, -2 % 2**32))


def seed_generator_states(model: object) -> list[Any]:
    """Returns the state variables of the seed generators that Keras lists in a model, in order."""
    return list(filter(_is_seed_state, getattr(model, "non_trainable_variables", [])))


def other_states(model: object, variables: Iterable[Any]) -> list[Any]:
    """Returns the states of seed generators among `variables`.

    The states that `seed_generator_states` returns are left out.
    """
    own = {id(state) for state in seed_generator_states(model)}
    return [state for state in variables if _is_seed_state(state) and id(state) not in own]


def _is_seed_state(variable: Any) -> bool:
    return str(variable.name) == "seed_generator_state"


class SeedStates:
    """Finds the seed generators of losses and metrics, which Keras does not list in the model.

    Without `structure`, each call of `others` searches the model, because a callback may have
    changed the model, or a loss may have made a generator in the first epoch.
    """

    def __init__(self, model: keras.Model, structure: Structure | None = None) -> None:
        self._model, self._structure = model, structure

    def others(self) -> list[Any]:
        """Returns the state variables of the seed generators of losses and metrics.

        All models with the same structure have these variables in the same order.
        """
        structure = self._structure
        if structure is None:
            try:
                structure = Structure(self._model)
            except Exception:
                # Another version of Keras may cause this error, but `fit` must train all the same.
                _log.debug("the structure can't be read", exc_info=True)
                return []
            if structure.of_libraries:
                self._structure = structure
        # Losses and metrics that come from libraries draw no random numbers.
        return [] if structure.of_libraries else other_states(self._model, structure.variables)
