"""The protocol between a trial and its trainer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from search_spaces import Hyperparameters
from search_spaces.errors import InternalError
from tracking.records import TrialSpec

if TYPE_CHECKING:
    import keras

    from studies.data import LoadedData
    from studies.training.structures.structure import Structure

OnEpoch = Callable[[int, Mapping[str, float]], bool]
"""Called after each epoch with its number (from 1) and all metrics; False stops the training."""


@dataclass(frozen=True)
class Training:
    """The arguments of a trainer."""

    model: keras.Model  # Compiled; trained in place.
    splits: LoadedData  # Class weights are in the sample weights of arrays.
    spec: TrialSpec
    callbacks: Sequence[keras.callbacks.Callback]  # The user's own, new for this trial.
    hp: Hyperparameters
    initial_epoch: int = 0  # Epochs that the model was trained before.
    unfit: str = ""  # Why it must be trained by `model.fit`, or empty.
    traced: Sequence[str] = ()  # What the steps were traced for before an interruption.
    # Whether there is validation data; without, the plain trainer alone trains.
    validates: bool = True


class NotTrainedError(InternalError):
    """A training failed where `model.fit` might succeed.

    Its text says how. Model and callbacks must be built again, and trained by `model.fit`.
    """


class ChangedModelError(NotTrainedError):
    """A resumed training would train another model than before it was interrupted.

    Callbacks changed the model at an earlier epoch, so it must be trained from its first epoch.
    """


class Trainer(Protocol):
    """Trains a model epoch by epoch.

    Contract, shown by ``tests/support/conformance/trainer.py``: weights and every metric are,
    bit for bit, those of calling for each epoch e

        model.fit(x[p], y[p], shuffle=False, initial_epoch=e - 1, epochs=e,
                  validation_data=(x_validation, y_validation), batch_size=…)

    with ``p = permutation(seed, e, len(x))`` and the state of the model's i-th seed generator
    set to ``(epoch_seed(seed, e, i), 0)`` before it, and Python's and numpy's generators to epoch
    seeds (all of it in docs/reproducing.md); with ``sample_weight=w[p]`` where samples
    have weights, and ``class_weight=…`` where classes have. For data in batches, with
    ``s = epoch_seed(seed, e)`` and after ``keras.utils.set_random_seed(s)``,

        model.fit(batches(seed=s), initial_epoch=e - 1, epochs=e,
                  validation_data=validation_batches(), class_weight=…)
    """

    concludes: bool
    """Whether `train` may return the outcome of the training itself."""

    @property
    def unsaved(self) -> str:
        """Why the model does not have the weights of the last reported epoch; empty if it has."""
        ...

    @property
    def used(self) -> tuple[str, str]:
        """The trainer used last, such as "plain", and why not the faster one, or an empty text."""
        ...

    @property
    def traced(self) -> Sequence[str] | None:
        """What the training and the validation step are traced for, as text to compare.

        Empty if no callback may change the model; None if unknown.
        """
        ...

    @property
    def walked(self) -> Structure | None:
        """The structure of the model that is trained now, if it is known."""
        ...

    def train(self, training: Training, on_epoch: OnEpoch) -> Mapping[str, float] | None:
        """Trains until the spec's epochs are done, `on_epoch` says stop, or a callback does.

        Returns metrics that count in place of every epoch's, if the training concludes. Raises
        NotTrainedError if it must start again, with `training.unfit` set; ChangedModelError if it
        must start again from its first epoch.
        """
        ...


def check_traced_alike(traced: Sequence[str], structure: Structure) -> None:
    """Raises ChangedModelError if a step is traced for something else than before."""
    if traced and structure.traced not in traced:
        raise ChangedModelError("a callback changed the model at an earlier epoch")
