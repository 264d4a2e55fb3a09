"""The seam between a trial and what trains it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from search_spaces import Hyperparameters
from search_spaces.errors import InternalError
from tracking.records import TrialSpec

if TYPE_CHECKING:
    import keras

    from studies.data import AnySplits
    from studies.training.structures.structure import Structure

OnEpoch = Callable[[int, Mapping[str, float]], bool]
"""Called after each epoch with its number (from 1) and all metrics; False stops the training."""


@dataclass(frozen=True)
class Training:
    """What a trainer is given.

    Attributes:
        model: Compiled; trained in place.
        splits: Training and validation data; class weights are in the sample weights of arrays.
        spec: Epochs, batch size and seed.
        callbacks: The user's own, new for this trial.
        hp: The trial's hyperparameters.
        initial_epoch: Epochs that the model has been trained already.
        unfit: Why it must be trained by `model.fit`, or empty.
        traced: What the steps were traced for before it was cut; see `Trainer.traced`.
    """

    model: keras.Model
    splits: AnySplits
    spec: TrialSpec
    callbacks: Sequence[keras.callbacks.Callback]
    hp: Hyperparameters
    initial_epoch: int = 0
    unfit: str = ""
    traced: Sequence[str] = ()


class NotTrainedError(InternalError):
    """A training failed before its first epoch was reported, in a way that `model.fit` may not.

    Its text says how. Model and callbacks are of no use any more: they must be built again, and
    trained by `model.fit`.
    """


class ChangedModelError(NotTrainedError):
    """A training that goes on would train another model than it did before it was cut.

    Callbacks changed it at an epoch that is over. It must be trained from its first epoch.
    """


class Trainer(Protocol):
    """Trains a model epoch by epoch.

    Contract, shown by ``tests/support/conformance/trainer.py``: weights and every metric are,
    bit for bit, those of calling for each epoch e

        model.fit(x[p], y[p], shuffle=False, initial_epoch=e - 1, epochs=e,
                  validation_data=(x_validation, y_validation), batch_size=…)

    with ``p = permutation(seed, e, len(x))`` and the state of the model's i-th seed generator
    set to ``(epoch_seed(seed, e, i), 0)`` before it; with ``sample_weight=w[p]`` where samples
    have weights, and ``class_weight=…`` where classes have. Of data that comes in batches, with
    ``s = epoch_seed(seed, e)`` and after ``keras.utils.set_random_seed(s)``,

        model.fit(batches(seed=s), initial_epoch=e - 1, epochs=e,
                  validation_data=validation_batches(), class_weight=…)
    """

    concludes: bool
    """Whether `train` may say itself what came of the training."""

    @property
    def unsaved(self) -> str:
        """Why the model that it was given does not have the weights of what it reported last.

        Empty if it has.
        """
        ...

    @property
    def used(self) -> tuple[str, str]:
        """What trained last, such as "plain", and why not what is faster, or an empty text."""
        ...

    @property
    def structure(self) -> str:
        """Of the model trained last, as it was then: equal for models of one structure.

        Empty if it is not known.
        """
        ...

    @property
    def traced(self) -> Sequence[str] | None:
        """What the training and the validation step are traced for, as text to compare.

        Empty if no callback may change the model; None if it can't be told.
        """
        ...

    @property
    def walked(self) -> Structure | None:
        """The structure of the model that is trained now, if it is known."""
        ...

    def train(self, training: Training, on_epoch: OnEpoch) -> Mapping[str, float] | None:
        """Trains until the spec's epochs are done, ``on_epoch`` says stop, or a callback does.

        Returns:
            Metrics that count in place of every epoch's, if the training concludes; else None.

        Raises:
            NotTrainedError: If it must begin anew, with ``training.unfit`` set.
            ChangedModelError: If it must begin anew, from its first epoch.
        """
        ...


def check_traced_alike(traced: Sequence[str], structure: Structure) -> None:
    """Does nothing if a step is traced for the same as before its training was cut.

    Args:
        traced: What it was traced for then, or nothing.
        structure: What it is traced for now.

    Raises:
        ChangedModelError: If not.
    """
    if traced and structure.traced not in traced:
        raise ChangedModelError("a callback changed the model at an epoch that is over")
