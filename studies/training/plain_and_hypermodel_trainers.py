"""The `Trainer` protocol, a trainer by `model.fit`, and a trainer by a HyperModel's `fit`."""

from __future__ import annotations

import contextlib
import functools
import inspect
import math
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

from search_spaces import Hyperparameters
from search_spaces.errors import BuilderError, InternalError
from studies.data import Part
from studies.error_texts import describe
from studies.training.batches_for_model_fit import Batches, StreamedBatches
from studies.training.model_structure_digest import Structure
from studies.training.model_variables_and_properties import (
    copy_of,
    make_variables,
    may_change_model,
    replaced_method,
    scalars,
)
from studies.training.random_states_and_user_objects import SeedStates, begin_epoch
from tracking.records import ALL_FOLDS, Objective, TrialSpec

if TYPE_CHECKING:
    import keras

    from studies.data import LoadedData
    from studies.definition import StudyDefinition


OnEpoch = Callable[[int, Mapping[str, float]], bool]
"""A function that trainers call after each epoch, with the epoch's number (from 1) and metrics.

If it returns False, the training stops.
"""


@dataclass(frozen=True)
class Training:
    """The arguments of a trainer."""

    model: keras.Model  # The compiled model. The training changes its weights.
    splits: LoadedData  # The data. If it is in arrays, sample weights include class weights.
    spec: TrialSpec
    callbacks: Sequence[keras.callbacks.Callback]  # The user's callbacks for this trial.
    hp: Hyperparameters
    initial_epoch: int = 0  # The number of epochs already trained, if the training resumes.
    # Why only `model.fit` can train the model. Empty if a faster trainer may train it.
    unfit: str = ""


class NotTrainedError(InternalError):
    """A training failed, but `model.fit` might succeed.

    The error's text says why the training failed. The model and the callbacks are then built again,
    and `model.fit` trains the model.
    """


class Trainer(Protocol):
    """Trains a model epoch by epoch.

    Every trainer, except for a HyperModel's own ``fit``, gives the same weights and metrics, bit
    for bit, as these calls for each epoch e (tested by ``tests/support/conformance/trainer.py``):

        model.fit(x[p], y[p], shuffle=False, initial_epoch=e - 1, epochs=e,
                  validation_data=(x_validation, y_validation), batch_size=…)

    Here ``p = permutation(seed, e, len(x))``. If samples have weights, the call has
    ``sample_weight=w[p]``. If classes have weights, the call has ``class_weight=…``. Before the
    call, the model's i-th seed generator has the state ``(epoch_seed(seed, e, i), 0)``, and
    Python's and numpy's generators have seeds of the epoch (see docs/reproducing.md).

    For data in batches, the call comes after ``keras.utils.set_random_seed(s)`` with ``s =
    epoch_seed(seed, e)``:

        model.fit(batches(seed=s), initial_epoch=e - 1, epochs=e,
                  validation_data=validation_batches())
    """

    concludes: bool
    """Whether `train` may return the trial's outcome, like the `fit` of a HyperModel."""

    @property
    def unsaved(self) -> str:
        """Why the model lacks the weights of the last reported epoch. Empty if it has them."""
        ...

    @property
    def used(self) -> tuple[str, str]:
        """The name of the trainer that ran last, e.g. "plain", and why no faster one ran."""
        ...

    @property
    def walked(self) -> Structure | None:
        """The structure of the model that is being trained, or None if it is not known."""
        ...

    def train(self, training: Training, on_epoch: OnEpoch) -> Mapping[str, float] | None:
        """Trains the spec's number of epochs. `on_epoch` or a callback may end the training early.

        If `concludes` is true, this method may return metrics. The trial's value then comes from
        these metrics, and not from the best epoch.

        Raises NotTrainedError if the model must be built again and trained by `model.fit`. The
        error's text becomes the `unfit` of the new training.
        """
        ...


_PIPELINES_KEPT = 4


class PlainTrainer:
    """Trains with one call of `model.fit`."""

    concludes = False
    walked = None
    unsaved = ""
    used = ("plain", "")

    def __init__(self) -> None:
        # Only a few pipelines are kept, because each has a copy of the data. Floats in the copy
        # have the type `keras.config.floatx()`, which a builder may change. So floatx is a part of
        # the cache's key.
        self._batches = lru_cache(_PIPELINES_KEPT)(
            lambda splits, batch_size, ends, floatx: Batches(splits, batch_size, ends=ends)
        )

    def train(self, training: Training, on_epoch: OnEpoch) -> None:
        """Trains with one call of `model.fit`."""
        import keras

        model, spec, splits = training.model, training.spec, training.splits
        validates = spec.fold != ALL_FOLDS
        batches: Batches | StreamedBatches
        if splits.streams:
            batches = StreamedBatches(splits)
        else:
            ends = model.steps_per_execution != 1
            batches = self._batches(splits.arrays, spec.batch_size, ends, keras.config.floatx())
        with contextlib.closing(batches), warnings.catch_warnings():
            # Keras warns that it can't shuffle a tf.data.Dataset. Our dataset is in a shuffled
            # order already.
            warnings.filterwarnings("ignore", message=".*`shuffle=True` was passed.*")
            # Keras may warn that the data ran out, which would mislead: our data does not run out.
            warnings.filterwarnings("ignore", message=".*Your input ran out of data.*")
            if not training.unfit:
                _make_variables(training)
            model.fit(
                batches.training,
                steps_per_epoch=batches.training_steps,
                initial_epoch=training.initial_epoch,
                epochs=spec.epochs,
                verbose=0,
                shuffle=False,
                validation_data=batches.validation if validates else None,
                validation_steps=batches.validation_steps if validates else None,
                callbacks=[
                    _begin_epochs(batches, training),
                    *training.callbacks,
                    # This callback comes last, to see the entries that the user's callbacks add to
                    # the logs.
                    end_epochs(on_epoch),
                ],
            )


def _make_variables(training: Training) -> None:
    """Makes the variables of loss, metrics and optimizer before `fit`, which saves time.

    A validation step with one sample makes the variables. This function does nothing if the step
    would run the user's code, which may count its calls, or if the user's callbacks may see the
    variables.

    Raises NotTrainedError if the step fails. `fit` may still succeed, e.g. if the loss needs
    several samples.
    """
    if may_change_model(training.callbacks) or not Structure(training.model).of_libraries:
        return
    try:
        make_variables(training.model, training.splits)
    except Exception as error:
        raise NotTrainedError(f"a step with one sample raised {describe(error)}") from None


def _begin_epochs(
    batches: Batches | StreamedBatches, training: Training
) -> keras.callbacks.Callback:
    import keras

    seed = training.spec.seed
    seeds = SeedStates(training.model)

    class BeginEpochs(keras.callbacks.Callback):  # type: ignore[misc]
        def set_params(self, params: dict[str, Any]) -> None:
            # The user's callbacks get this dict next, so correct the number of steps in it now.
            batches.correct(params)
            super().set_params(params)

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            batches.set_epoch(seed, epoch + 1)
            begin_epoch(self.model, seed, epoch + 1, seeds.others())

        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            if batches.ended(batch):
                # Keras itself ends an epoch by this exception when the data ends.
                raise StopIteration

    return BeginEpochs()


def end_epochs(on_epoch: OnEpoch) -> keras.callbacks.Callback:
    """Returns a callback that calls `on_epoch`, and stops the training when it returns False."""
    import keras

    class EndEpochs(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
            if not on_epoch(epoch + 1, scalars(logs or {})):
                self.model.stop_training = True

    return EndEpochs()


_REHEARSED_SAMPLES = 8
_UNKNOWN_WEIGHTS = (
    "the HyperModel's fit trained other models than the given model, or returned a value that was "
    "not measured with the final weights of the model, so the weights for this value are unknown. "
    "To get a checkpoint, train the given model with the given callbacks, and return the history"
)
# Two values of a metric count as equal up to this relative difference, because another batch size
# changes the last digits.
_TOLERANCE = 1e-4
_GIVEN_TWICE = re.compile(r"multiple values for (?:keyword )?argument '(\w+)'")


def has_own_fit(build: object) -> bool:
    """Returns whether a study's builder is a HyperModel that overrides `fit`."""
    method = getattr(type(build), "fit", None)
    if method is None or not callable(getattr(build, "build", None)):
        return False
    return not getattr(method, "__module__", "").startswith("keras_tuner.")


class HyperModelTrainer:
    """Trains a model on arrays by the `fit` method of a Keras Tuner HyperModel.

    This method is called as in Keras Tuner
    (https://keras.io/keras_tuner/api/hypermodels/base_hypermodel/): ``fit(hp, model, x, y,
    validation_data=…, callbacks=…, …)``. It returns the history of `model.fit`, or the trial's
    outcome as a number or a dict of metrics.

    Random states are set before the call, so shuffling depends on the trial's seed. A training
    can't be resumed between epochs.
    """

    concludes = True
    walked = None
    used = ("hypermodel", "the HyperModel overrides fit()")
    unsaved = ""

    def __init__(self, hypermodel: Any) -> None:
        self._hypermodel, self._fit = hypermodel, hypermodel.fit
        # The metrics of the last epoch in which the builder's model was trained.
        self._last: Mapping[str, float] = {}

    def train(self, training: Training, on_epoch: OnEpoch) -> Mapping[str, float] | None:
        """Calls the HyperModel's `fit`.

        Raises BuilderError if samples have weights, and the HyperModel's `fit` takes no weights.
        """
        import keras

        self.unsaved, self._last = "", {}
        model, fit = training.model, keras.Model.fit
        watching = self._watching(training, on_epoch)
        before = [array.tobytes() for array in copy_of(model)]
        fitted_models: list[keras.Model] = []

        @functools.wraps(fit)
        def noting(fitted_model: keras.Model, *arguments: Any, **keywords: Any) -> Any:
            fitted_models.append(fitted_model)
            return fit(fitted_model, *arguments, **keywords)

        with replaced_method("fit", noting):
            returned = self._call(training, watching)
        if not watching.ended and hasattr(returned, "history"):
            # No epoch was reported, as the HyperModel's `fit` ignored our callbacks. So take the
            # outcome from the last epoch of the returned history.
            last = {name: values[-1] for name, values in returned.history.items() if len(values)}
            outcome = scalars(last) or None
        else:
            outcome = _outcome_of(returned, training.spec.objective.metric)
        if outcome is not None:
            changed = [array.tobytes() for array in copy_of(model)] != before
            certain = changed and self._has_value(training, fitted_models, outcome)
            self.unsaved = "" if certain else _UNKNOWN_WEIGHTS
        return outcome

    def _has_value(
        self, training: Training, models: Sequence[keras.Model], outcome: Mapping[str, float]
    ) -> bool:
        """Returns whether the objective in the outcome was measured with the model's final weights.

        A HyperModel's `fit` may return the objective of an earlier epoch, or of another model.
        """
        model, objective = training.model, training.spec.objective.metric
        last = self._last.get(objective)
        value, measured = outcome.get(objective, last), _measured(model, training).get(objective)
        if value is not None and measured is not None:
            return math.isclose(measured, value, rel_tol=_TOLERANCE)
        # `model.evaluate` has not computed the objective. So trust the outcome if its value is the
        # one that the last epoch logged, or if no other model was trained.
        return value == last or models in ([], [model])

    def _watching(self, training: Training, on_epoch: OnEpoch) -> Any:
        """Returns a callback that sets random states and calls `on_epoch`.

        The callback works in trainings of any model, not only of the builder's model.
        """
        import keras

        trainer = self

        class Watching(keras.callbacks.Callback):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__()
                # The number of ended epochs. The HyperModel's `fit` may call `model.fit` several
                # times, and Keras counts the epochs of each call from 0.
                self.ended = 0

            def __deepcopy__(self, memo: object) -> Watching:
                # Keras Tuner copies callbacks before `fit`. A copy would count its own epochs, and
                # this object would count none.
                return self

            def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
                if self.model is not None:
                    others = SeedStates(self.model).others()
                    begin_epoch(self.model, training.spec.seed, self.ended + 1, others)

            def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
                self.ended += 1
                metrics, is_built = scalars(logs or {}), self.model in (None, training.model)
                trainer.unsaved = "" if is_built else _UNKNOWN_WEIGHTS
                if is_built:
                    trainer._last = metrics
                if not on_epoch(self.ended, metrics) and self.model is not None:
                    self.model.stop_training = True

        return Watching()

    def _call(self, training: Training, watching: keras.callbacks.Callback) -> Any:
        """Calls the HyperModel's `fit`, but only with keywords for which `fit` has parameters."""
        import keras

        hp, model, spec = training.hp, training.model, training.spec
        train, validation = training.splits.arrays.train, training.splits.arrays.validation
        weights = () if validation.sample_weight is None else (validation.sample_weight,)
        keywords = {
            "validation_data": (validation.x, _targets(validation), *weights),
            "epochs": spec.epochs,
            "batch_size": spec.batch_size,
            "callbacks": [*training.callbacks, watching],
            "verbose": 0,
            "sample_weight": train.sample_weight,
        }
        parameters = inspect.signature(self._fit).parameters
        if not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
            keywords = {name: value for name, value in keywords.items() if name in parameters}
        if train.sample_weight is None:
            keywords.pop("sample_weight", None)
        elif "sample_weight" not in keywords:
            raise BuilderError(
                "The training samples have weights (sample_weight or class_weight), and the fit of "
                f"the HyperModel {type(self._hypermodel).__name__} takes none",
                hint="Add a parameter sample_weight, or **kwargs, and pass it on to model.fit.",
            )
        while True:
            keras.utils.set_random_seed(spec.seed)
            try:
                with warnings.catch_warnings():
                    warnings.filterwarnings("ignore", message=".*Your input ran out of data.*")
                    return self._fit(hp, model, train.x, _targets(train), **keywords)
            except TypeError as error:
                # The HyperModel may call `model.fit(*args, batch_size=hp.Int(…), **kwargs)`, which
                # sets `batch_size` twice if we pass it too. Python then raises an error before
                # anything is trained. So leave our keyword out, and call again.
                twice = _GIVEN_TWICE.search(str(error))
                if twice is None or twice[1] not in keywords:
                    raise
                del keywords[twice[1]]


def rehearse(
    study: StudyDefinition, model: keras.Model, splits: LoadedData, hp: Hyperparameters
) -> set[str]:
    """Calls a HyperModel's `fit` for one epoch on a few samples.

    Returns the names of the metrics that the epoch logs or that `fit` returns.
    """
    names: set[str] = set()

    def on_epoch(epoch: int, metrics: Mapping[str, float]) -> bool:
        names.update(metrics)
        return False

    objective, count = study.objective, _REHEARSED_SAMPLES
    if isinstance(objective, str):
        # Its direction is not known yet, and a rehearsal needs none.
        objective = Objective(objective, "max")
    spec = TrialSpec(0, 1, {}, study.seed, 1, count, 1, "", objective)
    train, validation = splits.train.first(count), splits.validation.first(count)
    few = replace(splits.arrays, train=train, validation=validation)
    trainer, training = HyperModelTrainer(study.build), Training(model, few, spec, [], hp)
    with running_eagerly():
        outcome = trainer.train(training, on_epoch)
    return names.union(outcome or ())


@contextlib.contextmanager
def running_eagerly() -> Iterator[None]:
    """Runs TensorFlow functions eagerly. Tracing a function takes longer than a few eager calls."""
    import tensorflow as tf

    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        with warnings.catch_warnings():
            # TensorFlow warns that tf.data does not run eagerly.
            warnings.filterwarnings("ignore", message=".*run_functions_eagerly.*")
            yield
    finally:
        tf.config.run_functions_eagerly(before)


def _outcome_of(returned: object, objective: str) -> dict[str, float] | None:
    if returned is None or hasattr(returned, "history"):
        return None
    try:
        if isinstance(returned, Mapping):
            return scalars(returned)
        return {objective: float(returned)}  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise BuilderError(
            "A HyperModel's fit must return the history of model.fit, a number, a dict of "
            "numbers, or nothing",
            received=returned,
        ) from None


def _measured(model: keras.Model, training: Training) -> dict[str, float]:
    validation = training.splits.arrays.validation
    try:
        metrics = model.evaluate(
            validation.x,
            _targets(validation),
            batch_size=training.spec.batch_size,
            sample_weight=validation.sample_weight,
            verbose=0,
            return_dict=True,
        )
    except Exception:
        # The model may not be compiled, or may need samples that the HyperModel's `fit` prepares.
        return {}
    return {f"val_{name}": value for name, value in scalars(metrics).items()}


def _targets(part: Part) -> Any:
    return part.y if part.has_targets else None
