"""Watching every `model.fit` that some code calls, and what `model.evaluate` measures.

Keras's own methods are replaced while the code runs. They do the same: the callbacks that are added
read the logs and change nothing, so a training gets the same bits.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from studies.training.models import scalars

if TYPE_CHECKING:
    import keras


class Watcher(Protocol):
    """Follows the trainings of some code."""

    def fit_begins(self, model: keras.Model, arguments: Mapping[str, Any]) -> None:
        """Takes the model of a training that begins, and the arguments of `fit` by name."""
        ...

    def epoch_ended(self, model: keras.Model, logs: Mapping[str, float]) -> None:
        """Takes an epoch. What it raises ends the training."""
        ...

    def fit_ended(self, model: keras.Model) -> None:
        """Takes the model of a training that has ended by itself."""
        ...

    def evaluated(self, model: keras.Model, measured: Mapping[str, float]) -> None:
        """Takes what `model.evaluate` returned outside of a training."""
        ...


@contextlib.contextmanager
def watched(watcher: Watcher) -> Iterator[None]:
    """Reports every training within to a watcher, and shows no progress bars."""
    import keras

    fit, evaluate = keras.Model.fit, keras.Model.evaluate
    signature = inspect.signature(fit)
    trains = 0

    @functools.wraps(fit)
    def watching(model: keras.Model, *arguments: Any, **keywords: Any) -> Any:
        nonlocal trains
        try:
            given = signature.bind(model, *arguments, **keywords)
        except TypeError:
            # Keras's own message for wrong arguments.
            return fit(model, *arguments, **keywords)
        first, last = _watching(watcher)
        given.arguments["callbacks"] = _around(given.arguments.get("callbacks"), model, first, last)
        given.arguments["verbose"] = 0
        watcher.fit_begins(model, given.arguments)
        trains += 1
        try:
            history = fit(*given.args, **given.kwargs)
        except BaseException:
            # A callback of the user's that raises, as pruning ones do, hides the epoch's end.
            last.report()
            raise
        finally:
            trains -= 1
        watcher.fit_ended(model)
        return history

    @functools.wraps(evaluate)
    def measuring(model: keras.Model, *arguments: Any, **keywords: Any) -> Any:
        measured = evaluate(model, *arguments, **keywords)
        # Within a training Keras validates by it.
        if not trains:
            watcher.evaluated(model, _by_name(measured))
        return measured

    with replaced_method("fit", watching), replaced_method("evaluate", measuring):
        yield


@contextlib.contextmanager
def replaced_method(name: str, function: Callable[..., Any]) -> Iterator[None]:
    """Replaces a method of all Keras models."""
    import keras

    owner = next(kind for kind in keras.Model.__mro__ if name in vars(kind))
    before = vars(owner)[name]
    setattr(owner, name, function)
    try:
        yield
    finally:
        setattr(owner, name, before)


def _around(given: Any, model: keras.Model, first: Any, last: Any) -> Any:
    """Returns callbacks with one before and one after them."""
    import keras

    if isinstance(given, keras.callbacks.CallbackList):
        # Keras uses it unchanged: its callbacks have their model already.
        for callback in (first, last):
            callback.set_model(model)
        given.callbacks.insert(0, first)
        given.append(last)
        return given
    return [first, *keras.tree.flatten(given or []), last]


def _watching(watcher: Watcher) -> tuple[Any, Any]:
    """Returns the first and the last callback of a training: its logs, with all entries."""
    import keras

    class Noting(keras.callbacks.Callback):  # type: ignore[misc]
        """Sees the logs before the user's callbacks, of which one may raise."""

        def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
            last.noted = logs or {}

    class Reporting(keras.callbacks.Callback):  # type: ignore[misc]
        """Sees them after the user's callbacks, which may add entries."""

        def __init__(self) -> None:
            super().__init__()
            self.noted: Mapping[str, Any] | None = None

        def report(self) -> None:
            noted, self.noted = self.noted, None
            if noted is not None:
                watcher.epoch_ended(self.model, scalars(noted))

        def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
            self.report()

    last = Reporting()
    return Noting(), last


def _by_name(measured: Any) -> dict[str, float]:
    """Returns what `model.evaluate` returned, by names that may be just numbers."""
    if isinstance(measured, Mapping):
        return scalars(measured)
    values = measured if isinstance(measured, list | tuple) else [measured]
    return scalars({str(place): value for place, value in enumerate(values)})
