"""Chooses the programs that train and validate a model, again when `fit` would trace again."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from studies.training.trainer import check_traced_alike

if TYPE_CHECKING:
    import keras

    from studies.training.programs.program import Program
    from studies.training.structures.structure import Structure


class Chosen(NamedTuple):
    """A program, and the structure of the model that it was chosen for."""

    program: Program
    structure: Structure


class ChosenPrograms:
    """The programs of one training. As a context, it lends them, and takes them back.

    `fit` traces a step when its function is first called after it was made. So changes of callbacks
    to a model count for the training step after `make_train_function(force=True)` or `compile`, and
    for the validation step after `compile` only.

    The user's own callbacks may predict or evaluate, which TensorFlow traces with the model's
    variables of that moment. So the model has its own variables whenever they are called.
    """

    def __init__(
        self,
        model: keras.Model,
        choose: Callable[[], Chosen],
        before: Sequence[str] = (),
        *,
        own_callbacks: bool = True,
    ) -> None:
        self._model, self._choose, self._before = model, choose, before
        self._own_callbacks = own_callbacks
        self._training: tuple[object, Chosen] | None = None
        self._validating: tuple[object, Chosen] | None = None
        self._lent: Chosen | None = None
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> ChosenPrograms:
        """Returns itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Takes the programs back."""
        self._take_back()

    @property
    def present(self) -> list[Chosen]:
        """The programs chosen last: for training, then for validation."""
        return [each[1] for each in (self._training, self._validating) if each is not None]

    @property
    def traced(self) -> list[str] | None:
        """See `Trainer.traced`."""
        found = [each.structure.traced for each in self.present]
        return found if all(found) else None

    def for_training(self) -> Program:
        """Returns the program that trains now, lent to the model.

        Raises:
            ChangedModelError: If it is of another structure than before an interruption.
            TypeError: If a callback compiled the model, and made no function for its training step:
                `fit` raises it too.
        """
        function = self._model.train_function
        if function is None:
            raise TypeError(
                "A callback compiled the model, and model.fit has no function for its training "
                "step then. Call model.make_train_function() after model.compile(...)."
            )
        if self._training is None or self._training[0] is not function:
            self._training = function, self._anew(self._training, self._before[:1])
        return self._lend(self._training[1])

    def for_validation(self) -> Program:
        """Returns the program that validates now, lent to the model."""
        # As `evaluate` does.
        self._model.make_test_function()
        function = self._model.test_function
        if self._validating is None or self._validating[0] is not function:
            self._validating = function, self._anew(self._validating, self._before[1:])
        return self._lend(self._validating[1])

    def _anew(self, before: tuple[Any, Chosen] | None, traced: Sequence[str]) -> Chosen:
        chosen = self._choose()
        if before is None:
            check_traced_alike(traced, chosen.structure)
        for other in () if chosen.structure.reason else self.present:
            if other.structure.is_like(chosen.structure):
                # The same program, which is not taken back and lent again.
                chosen = other
        return chosen

    def before_callbacks(self) -> None:
        """Gives the model its own variables, with the present values."""
        if self._own_callbacks:
            self._take_back()

    def _take_back(self) -> None:
        self._stack.close()
        self._lent = None

    def _lend(self, chosen: Chosen) -> Program:
        if chosen is not self._lent:
            self._take_back()
            self._stack.enter_context(chosen.program.lent(chosen.structure))
            self._lent = chosen
        return chosen.program
