"""The spec of a trial, and the seeds of all random choices, which follow from the study's seed.

No random generator continues from trial to trial: epoch 3 of trial 7 depends only on the study's
seed and the numbers 3 and 7. So a resumed study makes the same choices as an uninterrupted study,
and a single trial can be run again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracking.records import Proposal, StudyDescription, TrialSpec

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


def spec_of(proposal: Proposal, description: StudyDescription) -> TrialSpec:
    """Returns the spec of a trial's first attempt."""
    values, number = proposal.values, proposal.number
    # Hyperparameters named "epochs" and "batch_size" decide how a builder's model is trained. In an
    # objective function, these names may mean anything.
    trainer_values = {} if description.objective_function else values
    return TrialSpec(
        number=number,
        attempt=1,
        values=values,
        seed=trial_seed(description.seed, number),
        epochs=proposal.epochs or int(trainer_values.get("epochs", description.epochs)),
        batch_size=int(trainer_values.get("batch_size", description.batch_size)),
        threads=description.threads,
        data_digest=description.data.digest,
        objective=description.objective,
        class_weight=description.class_weight,
        hardware=description.hardware,
    )


def trial_seed(study_seed: int, number: int, repeat: int = 0) -> int:
    """Returns the seed of a training of a trial.

    `repeat` is the repeat or, in cross-validation, the fold. Both are counted from 0.
    """
    return _derive("trial", study_seed, number, *([repeat] if repeat else []))


def sampler_seed(study_seed: int, number: int) -> int:
    """Returns the seed that the engine's sampler gets before it proposes a trial."""
    return _derive("sampler", study_seed, number)


def race_seed(study_seed: int, place: int) -> int:
    """Returns one of the new seeds with which `kerastudy confirm` trains the trials in its race.

    `place` is the seed's number, counted from 0.
    """
    return _derive("race", study_seed, place)


def confirmation_seed(study_seed: int, place: int) -> int:
    """Returns one of the new seeds with which `kerastudy confirm` trains after the race.

    `place` is the seed's number, counted from 0.
    """
    return _derive("confirmation", study_seed, place)


def fold_seed(seed: int, fold: int) -> int:
    """Returns the seed of a fold when `kerastudy confirm` trains a trial again with a new seed.

    `seed` is the new seed. `fold` is counted from 0.
    """
    return _derive("fold", seed, fold)


def epoch_seed(seed: int, epoch: int, position: int = 0) -> int:
    """Returns the seed that one of a model's random generators gets before an epoch.

    Args:
        seed: The trial's seed.
        epoch: The epoch, counted from 1.
        position: The index, from 0, of the generator's state in the list from `seed_states`.

    Example:
        >>> ks.epoch_seed(7, epoch=1) == ks.epoch_seed(7, epoch=2)
        False
    """
    return _derive("epoch", seed, epoch, position)


def permutation(seed: int, epoch: int, samples: int) -> np.ndarray:
    """Returns the order in which an epoch sees the training samples.

    Args:
        seed: The trial's seed.
        epoch: The epoch, counted from 1.
        samples: The number of training samples.

    Returns:
        Indices ``p``, int64 of shape ``(samples,)``. In this epoch a trial trains on ``x[p], y[p]``
        with ``shuffle=False``.

    Example:
        >>> ks.permutation(0, 1, 5).tolist()
        [2, 1, 0, 3, 4]
    """
    import numpy as np

    return np.random.default_rng([_PURPOSES["permutation"], seed, epoch]).permutation(samples)


def seed_states(model: keras.Model) -> list[keras.Variable]:
    """Returns the states of all seed generators that a model's training draws from.

    Args:
        model: A model that is built and compiled.

    Returns:
        First the states of the layers' generators, then the states of the generators in the loss,
        the metrics and the user's own functions. Before each epoch, a trial sets state i to
        ``[epoch_seed(seed, epoch, i), 0]``.
    """
    from studies.training import SeedStates, seed_generator_states

    return [*seed_generator_states(model), *SeedStates(model).others()]


def _derive(purpose: str, *numbers: int) -> int:
    import numpy as np

    sequence = np.random.SeedSequence([_PURPOSES[purpose], *numbers])
    return int(sequence.generate_state(1)[0])
