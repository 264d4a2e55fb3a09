"""The trainer of a Keras Tuner HyperModel with its own `fit`.

Keras Tuner's contract (https://keras.io/keras_tuner/api/hypermodels/base_hypermodel/): it is
called as ``fit(hp, model, x, y, validation_data=…, callbacks=…, …)`` and returns the history of
`model.fit`, or a number or a dict of metrics that is the trial's outcome.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import math
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from search_spaces.errors import BuilderError
from studies.data import Part
from studies.training.models import copy_of, scalars
from studies.training.process.determinism import SeedStates, begin_epoch
from studies.training.trainer import OnEpoch, Training
from tracking.records import Objective, TrialSpec

if TYPE_CHECKING:
    import keras

    from search_spaces import Hyperparameters
    from studies.data import LoadedData
    from studies.definition import StudyDefinition

_SAMPLES = 8  # Samples to rehearse with.
_OTHERS = (
    "the HyperModel's fit trained other models than the given one, so no weights are known to have "
    "this value. Train the given model, with the given callbacks, to get a checkpoint"
)
_NOT_MEASURED = (
    "the value that the HyperModel's fit returned was not measured with the final weights of the "
    "model, so no weights are known to have it. Return the history, or a value measured with the "
    "final weights, to get a checkpoint"
)
# Evaluated in batches of another size, a value differs in its last digits.
_TOLERANCE = 1e-4
_OnEpochOf = Callable[[Any, int, Mapping[str, float]], bool]
_GIVEN_TWICE = re.compile(r"multiple values for (?:keyword )?argument '(\w+)'")


def has_own_fit(build: object) -> bool:
    """Returns whether a study's builder is a HyperModel that overrides `fit`."""
    method = getattr(type(build), "fit", None)
    if method is None or not callable(getattr(build, "build", None)):
        return False
    return not getattr(method, "__module__", "").startswith("keras_tuner.")


class HyperModelTrainer:
    """Trains by a HyperModel's own `fit`, on arrays.

    All random states are set before, so shuffling depends on the trial's seed. A training can't be
    resumed between epochs.
    """

    concludes = True
    traced, walked = (), None
    used = ("hypermodel", "the HyperModel trains by a fit of its own")
    unsaved = ""

    def __init__(self, hypermodel: Any) -> None:
        self._hypermodel, self._fit = hypermodel, hypermodel.fit
        # The metrics of the given model's last epoch in this trial.
        self._last: Mapping[str, float] = {}

    def train(self, training: Training, on_epoch: OnEpoch) -> Mapping[str, float] | None:
        """Trains by the HyperModel's `fit`, which must take samples' weights if there are any."""
        spec, splits = training.spec, training.splits.arrays
        self.unsaved, self._last = "", {}
        given = training.model
        watching = _watching(self._reporting(given, on_epoch), spec.seed)
        validation = splits.validation
        weights = () if validation.sample_weight is None else (validation.sample_weight,)
        keywords = {
            "validation_data": (validation.x, _targets(validation), *weights),
            "epochs": spec.epochs,
            "batch_size": spec.batch_size,
            "callbacks": [*training.callbacks, watching],
            "verbose": 0,
        }
        if splits.train.sample_weight is not None:
            keywords["sample_weight"] = splits.train.sample_weight
        objective = spec.objective.metric
        before = [array.tobytes() for array in copy_of(given)]
        with _fitted_models() as fitted:
            returned = self._call(training, keywords)
        if not watching.ended and hasattr(returned, "history"):
            # It did not pass the callbacks on: its last epoch counts.
            last = {name: values[-1] for name, values in returned.history.items() if len(values)}
            outcome = scalars(last) or None
        else:
            outcome = _outcome_of(returned, objective)
        if outcome is not None:
            changed = [array.tobytes() for array in copy_of(given)] != before
            trained = changed or any(model is given for model in fitted)
            self.unsaved = self._why_unsaved(training, fitted, outcome) if trained else _OTHERS
        return outcome

    def _why_unsaved(
        self, training: Training, fitted: Sequence[keras.Model], outcome: Mapping[str, float]
    ) -> str:
        """Returns why the given model, as `fit` left it, is not known to have the value."""
        given, objective = training.model, training.spec.objective.metric
        last = self._last.get(objective)
        value, measured = outcome.get(objective, last), _measured(given, training).get(objective)
        others = any(model is not given for model in fitted)
        if value is not None and measured is not None:
            known = math.isclose(measured, value, rel_tol=_TOLERANCE)
        else:
            # A metric of the user's own, which only these weights can have.
            known = value == last or (not others and len(fitted) <= 1)
        if known:
            return ""
        return _OTHERS if others else _NOT_MEASURED

    def _reporting(self, given: keras.Model, on_epoch: OnEpoch) -> _OnEpochOf:
        """Returns a function that takes an epoch of any model that the `fit` trains."""

        def report(model: Any, epoch: int, metrics: Mapping[str, float]) -> bool:
            self.unsaved = "" if model is None or model is given else _OTHERS
            if not self.unsaved:
                self._last = metrics
            return on_epoch(epoch, metrics)

        return report

    def _call(self, training: Training, keywords: dict[str, Any]) -> Any:
        """Calls `fit`, without arguments that it does not take or passes to `model.fit` itself."""
        import keras

        hp, model, part = training.hp, training.model, training.splits.arrays.train
        weighted, keywords = "sample_weight" in keywords, _taken(self._fit, keywords)
        if weighted and "sample_weight" not in keywords:
            raise BuilderError(
                "The training samples have weights (sample_weight or class_weight), and the fit of "
                f"the HyperModel {type(self._hypermodel).__name__} takes none. Give it a parameter "
                "sample_weight, or **kwargs, and pass that on to model.fit."
            )
        while True:
            keras.utils.set_random_seed(training.spec.seed)
            try:
                with warnings.catch_warnings():
                    warnings.filterwarnings("ignore", message=".*Your input ran out of data.*")
                    return self._fit(hp, model, part.x, _targets(part), **keywords)
            except TypeError as error:
                # `model.fit(*args, batch_size=hp.Int(…), **kwargs)`: tuned there, so leave it out.
                # Python raises before anything is trained.
                twice = _GIVEN_TWICE.search(str(error))
                if twice is None or twice[1] not in keywords:
                    raise
                del keywords[twice[1]]


def rehearse(
    study: StudyDefinition, model: keras.Model, splits: LoadedData, hp: Hyperparameters
) -> set[str]:
    """Trains an epoch on a few samples; returns the names of its metrics and of its outcome."""
    import tensorflow as tf

    names: set[str] = set()

    def on_epoch(epoch: int, metrics: Mapping[str, float]) -> bool:
        names.update(metrics)
        return False

    objective = study.objective
    if not isinstance(objective, Objective):
        # The model's metrics show which way is better, once they have measured something.
        objective = Objective(objective, "min")
    spec = TrialSpec(0, 1, {}, study.seed, 1, _SAMPLES, 1, "", objective)
    train, validation = splits.train.first(_SAMPLES), splits.validation.first(_SAMPLES)
    few = replace(splits.arrays, train=train, validation=validation)
    trainer, training = HyperModelTrainer(study.build), Training(model, few, spec, [], hp)
    eager = tf.config.functions_run_eagerly()
    # A step or two are not worth tracing.
    tf.config.run_functions_eagerly(True)
    try:
        with warnings.catch_warnings():
            # The warning that it does not apply to tf.data.
            warnings.filterwarnings("ignore", message=".*run_functions_eagerly.*")
            outcome = trainer.train(training, on_epoch)
    finally:
        tf.config.run_functions_eagerly(eager)
    return names.union(outcome or ())


def _outcome_of(returned: object, objective: str) -> dict[str, float] | None:
    """Returns the outcome of what a HyperModel's `fit` returned, or None if its epochs decide."""
    if returned is None or hasattr(returned, "history"):
        return None
    try:
        if isinstance(returned, Mapping):
            return scalars(returned)
        return {objective: float(returned)}  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise BuilderError(
            "A HyperModel's fit must return the history of model.fit, a number, a dict of "
            f"numbers, or nothing. Received: {returned!r:.200}"
        ) from None


@contextlib.contextmanager
def _fitted_models() -> Iterator[list[keras.Model]]:
    """Collects the models whose `fit` is called within, one for each call."""
    import keras

    fitted: list[keras.Model] = []
    fit = keras.Model.fit

    @functools.wraps(fit)
    def noting(model: keras.Model, *arguments: Any, **keywords: Any) -> Any:
        fitted.append(model)
        return fit(model, *arguments, **keywords)

    owner = next(kind for kind in keras.Model.__mro__ if "fit" in vars(kind))
    owner.fit = noting
    try:
        yield fitted
    finally:
        owner.fit = fit


def _measured(model: keras.Model, training: Training) -> dict[str, float]:
    """Returns a model's metrics on the validation data; none if they can't be measured."""
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
        # Not compiled, or trained on samples that the `fit` has prepared.
        return {}
    return {f"val_{name}": value for name, value in scalars(metrics).items()}


def _taken(function: Any, keywords: Mapping[str, Any]) -> dict[str, Any]:
    parameters = inspect.signature(function).parameters.values()
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters):
        return dict(keywords)
    names = {p.name for p in parameters}
    return {name: value for name, value in keywords.items() if name in names}


def _targets(part: Part) -> Any:
    """Returns the targets for `model.fit`: None if there are none."""
    return part.y if part.has_targets else None


def _watching(on_epoch: _OnEpochOf, seed: int) -> Any:
    import keras

    class Watching(keras.callbacks.Callback):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            # A fit may train several times, each from epoch 0.
            self.ended = 0

        def __deepcopy__(self, memo: object) -> Watching:
            # A fit that copies its callbacks, as Keras Tuner does, must still be followed.
            return self

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if self.model is not None:
                others = SeedStates(self.model, changes=True).others()
                begin_epoch(self.model, seed, self.ended + 1, others)

        def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
            self.ended += 1
            if not on_epoch(self.model, self.ended, scalars(logs or {})) and self.model is not None:
                self.model.stop_training = True

    return Watching()
