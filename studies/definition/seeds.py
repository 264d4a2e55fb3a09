"""Every random choice of a study, as a function of its seed.

No generator continues from trial to trial: epoch 3 of trial 7 depends only on the study's seed and
these two numbers. So a resumed study proposes and trains what an uninterrupted one would, and one
trial can be run again alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras
    import numpy as np

_PURPOSES = {
    "trial": 0,
    "sampler": 1,
    "permutation": 2,
    "epoch": 3,
    "race": 4,
    "confirmation": 5,
    "fold": 6,
}


def trial_seed(study_seed: int, number: int, repeat: int = 0) -> int:
    """Returns the seed of a trial, or of one of its repeats (from 0), 0 to 2**32 - 1."""
    return _derive("trial", study_seed, number, *([repeat] if repeat else []))


def sampler_seed(study_seed: int, number: int) -> int:
    """Returns the seed that the engine's sampler gets for a trial, 0 to 2**32 - 1."""
    return _derive("sampler", study_seed, number)


def race_seed(study_seed: int, place: int) -> int:
    """Returns a new seed, from 0, of the race that `kerastudy confirm` runs, 0 to 2**32 - 1."""
    return _derive("race", study_seed, place)


def confirmation_seed(study_seed: int, place: int) -> int:
    """Returns a new seed, from 0, of trainings that the test part is read with, 0 to 2**32 - 1."""
    return _derive("confirmation", study_seed, place)


def fold_seed(seed: int, fold: int) -> int:
    """Returns the seed of a fold, from 0, that is trained under a new seed, 0 to 2**32 - 1."""
    return _derive("fold", seed, fold)


def epoch_seed(seed: int, epoch: int, position: int = 0) -> int:
    """Returns the seed of an epoch (from 1) of a trial, for its ``position``-th generator.

    Example:
        >>> ks.epoch_seed(7, epoch=1) == ks.epoch_seed(7, epoch=2)
        False
    """
    return _derive("epoch", seed, epoch, position)


def permutation(seed: int, epoch: int, samples: int) -> np.ndarray:
    """Returns the order in which an epoch sees the training samples.

    Args:
        seed: The trial's seed.
        epoch: Counted from 1.
        samples: Number of training samples.

    Returns:
        Indices, int64 of shape ``(samples,)``. Training on ``x[p], y[p]`` with
        ``shuffle=False`` is what a trial does in this epoch.

    Example:
        >>> ks.permutation(0, 1, 5).tolist()
        [2, 1, 0, 3, 4]
    """
    import numpy as np

    return np.random.default_rng([_PURPOSES["permutation"], seed, epoch]).permutation(samples)


def seed_states(model: keras.Model) -> list[keras.Variable]:
    """Returns the states of all seed generators that a model's training draws from.

    Args:
        model: Built and compiled.

    Returns:
        The states of its layers first, then those of its loss, metrics and functions. Before each
        epoch the i-th is set to ``[epoch_seed(seed, epoch, i), 0]``.
    """
    from studies.training import SeedStates, seed_generator_states

    return [*seed_generator_states(model), *SeedStates(model, changes=False).others()]


def _derive(purpose: str, *numbers: int) -> int:
    import numpy as np

    sequence = np.random.SeedSequence([_PURPOSES[purpose], *numbers])
    return int(sequence.generate_state(1)[0])
