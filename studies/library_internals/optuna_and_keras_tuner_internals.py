"""Private parts of Optuna and Keras Tuner, which the subclasses in `studies.engines` use.

Functions for Optuna say why no public part suffices. Keras Tuner's public methods `create_trial`
and `end_trial` write files, print, and stop after some failures. If a private part of Keras Tuner
is missing, the engine is refused before anything is trained. Without the part, the engine might
propose other values than Keras Tuner does.
"""

from __future__ import annotations

import contextlib
import inspect
import json
import math
import operator
import os
import sys
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from studies.library_internals.private_api_lookup import AttributePart
from studies.library_internals.tensorflow_internals import silenced

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial, TrialState

_OPTUNA = "optuna"
_trials_of_study = AttributePart(_OPTUNA, "Study", "_get_trials")
_put_trial = AttributePart(_OPTUNA, "InMemoryStorage", "_set_trial")
_sample = AttributePart(_OPTUNA, "TPESampler", "_sample")
_rank = AttributePart(_OPTUNA, "TPESampler", "_compute_acquisition_func")
_estimate = AttributePart(_OPTUNA, "TPESampler", "_build_parzen_estimator")
_share = AttributePart(_OPTUNA, "TPESampler", "_gamma")
_grid = AttributePart(_OPTUNA, "GridSampler", "_search_space")


def trials_of(study: Study, states: Collection[TrialState]) -> list[FrozenTrial]:
    """Returns the trials of a study that have one of these states.

    The public method searches all trials at each call. The private method uses a cache.
    """
    get_trials = _trials_of_study.of(study)
    trials: list[FrozenTrial] = get_trials(deepcopy=False, states=tuple(states), use_cache=True)
    return trials


def put_trial(storage: Any, trial_id: int, trial: FrozenTrial) -> None:
    """Replaces a trial in a storage in memory. Public methods can only add trials."""
    _put_trial.of(storage)(trial_id, trial)


def sample(kind: Any, sampler: Any, study: Study, trial: FrozenTrial, space: Any) -> dict[str, Any]:
    """Samples hyperparameters by a private method of Optuna's class `kind`."""
    values: dict[str, Any] = _sample.of(kind)(sampler, study, trial, space)
    return values


def rank(kind: Any, sampler: Any, samples: Any, below: Any, above: Any) -> Any:
    """Returns TPE's score of each candidate, by a private method of Optuna's class `kind`.

    The score is log(a / b): a is the density of the good trials, and b that of all other trials.
    """
    return _rank.of(kind)(sampler, samples, below, above)


def take_as_good(sampler: Any, most: int) -> None:
    """Makes a TPE sampler count the best tenth of the trials as good, but no more than 25.

    `most` is a second limit of this number.
    """
    _share.set(sampler, lambda n: min(math.ceil(0.1 * n), 25, most))


def density_of(sampler: Any, study: Study, space: Any, trials: Sequence[FrozenTrial]) -> Any:
    """Returns the Parzen estimator that a TPE sampler builds from trials."""
    return _estimate.of(sampler)(study, space, list(trials), handle_below=True)


def ranges_of_grid(sampler: Any) -> dict[str, str]:
    """Returns the values that a GridSampler was made with, as lists in JSON, by name.

    There is no public way to read them. For other samplers, the dict is empty.
    """
    if type(sampler).__name__ != "GridSampler":
        return {}
    of_numpy = operator.methodcaller("item")
    values = _grid.of(sampler).items()
    return {name: json.dumps(list(listed), default=of_numpy) for name, listed in values}


def settings_of(component: Any, always: Collection[str] = ()) -> dict[str, Any] | None:
    """Returns the arguments with which an Optuna sampler or pruner was made, by name.

    Arguments with default values are left out, except those in `always`. Returns None if the
    arguments can't be read, or if one of them is neither a number nor a word.

    Optuna has no public way to read arguments, so they are read from attributes. As a check,
    another object is made with these arguments. Its attributes must equal those of `component`.
    """
    kind = type(component)
    parameters = inspect.signature(kind).parameters
    usual: Any = None
    # Make an object with all arguments at their defaults, to compare `component` with. If the class
    # needs arguments, this raises an error, and the defaults in the signature are compared instead.
    with contextlib.suppress(Exception):
        usual = kind()
    settings: dict[str, Any] = {}
    for name, parameter in parameters.items():
        value = _attribute(component, name)
        if value is None and name in always:
            value = parameter.default
        alike = value in (None, math.inf, -math.inf, parameter.default)
        if usual is not None:
            alike = _contents(value) == _contents(_attribute(usual, name))
        if name != "seed" and (name in always or not alike):
            settings[name] = value
    try:
        same = _contents(kind(**settings)) == _contents(component)
    except Exception:
        return None
    if not same or not all(isinstance(v, (bool, int, float, str)) for v in settings.values()):
        return None
    seed = _seed_of(component)
    return settings if seed is None else {**settings, "seed": seed}


def _attribute(component: Any, name: str) -> Any:
    """Returns the attribute in which a sampler or a pruner keeps an argument, or None."""
    for holder in (component, getattr(component, "_parzen_estimator_parameters", None)):
        for attribute in (f"_{name}", name):
            if hasattr(holder, attribute):
                return getattr(holder, attribute)
    return None


def _seed_of(component: Any) -> int | None:
    """Returns the seed of a sampler, or None.

    If the sampler has drawn numbers before, the result is not the seed itself, but another number
    that depends on the seed.
    """
    for attribute in ("_rng", "_cma_rng"):
        state = getattr(getattr(component, attribute, None), "_rng", None)
        if state is not None:
            # The first word in the state of a new Mersenne Twister is its seed.
            return int(state.get_state()[1][0])
    return None


def _contents(value: Any) -> Any:
    """Returns an object's attributes in a form that can be compared, without random states."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return type(value).__name__, value
    if isinstance(value, (list, tuple)):
        return [_contents(item) for item in value]
    if isinstance(value, Mapping):
        return {name: _contents(item) for name, item in value.items()}
    if inspect.isroutine(value) or inspect.isclass(value):
        return value.__module__, value.__qualname__
    kind = type(value)
    if "RandomState" in kind.__name__:
        return kind.__name__
    attributes = getattr(value, "__dict__", {})
    return kind.__module__, kind.__qualname__, {n: _contents(v) for n, v in attributes.items()}


_KERAS_TUNER = "keras-tuner"
_seed_state = AttributePart(_KERAS_TUNER, "Oracle", "_seed_state")
_duplicate = AttributePart(_KERAS_TUNER, "Oracle", "_duplicate")
_random_values = AttributePart(_KERAS_TUNER, "Oracle", "_random_values")
_random_state = AttributePart(_KERAS_TUNER, "BayesianOptimizationOracle", "_random_state")
_vectors = AttributePart(_KERAS_TUNER, "BayesianOptimizationOracle", "_vectorize_trials")
_at_random = AttributePart(_KERAS_TUNER, "BayesianOptimizationOracle", "_random_populate_space")
_brackets = AttributePart(_KERAS_TUNER, "HyperbandOracle", "_brackets")
_start_bracket = AttributePart(_KERAS_TUNER, "HyperbandOracle", "_start_new_bracket")
_count_bracket = AttributePart(_KERAS_TUNER, "HyperbandOracle", "_increment_bracket_num")
_size = AttributePart(_KERAS_TUNER, "HyperbandOracle", "_get_size")
_current_bracket = AttributePart(_KERAS_TUNER, "HyperbandOracle", "_current_bracket")
_current_round = AttributePart(_KERAS_TUNER, "HyperbandOracle", "_current_iteration")

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


def import_keras_tuner() -> None:
    """Imports Keras Tuner without output, and leaves the environment variables as they were.

    Keras Tuner imports TensorFlow, which would reserve the GPU memory that workers need. So GPUs
    are hidden from TensorFlow, unless this process has imported TensorFlow before.
    """
    if "keras_tuner" in sys.modules:
        return
    first = "tensorflow" not in sys.modules
    settings = {"TF_CPP_MIN_LOG_LEVEL": "3"}
    if "keras" not in sys.modules:
        # The user's Keras settings may name a backend that is not installed.
        settings["KERAS_BACKEND"] = "tensorflow"
    before = {name: os.environ.pop(name) for name in settings if name in os.environ}
    os.environ.update(settings)
    try:
        with silenced() if first else contextlib.nullcontext():
            import keras_tuner  # noqa: F401
            import tensorflow as tf

            if first:
                tf.config.set_visible_devices([], "GPU")
    finally:
        for name in settings:
            del os.environ[name]
        os.environ.update(before)
