"""Private parts of Optuna, and why no public part suffices."""

from __future__ import annotations

import contextlib
import inspect
import math
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from studies.library_internals.private_api_lookup import AttributePart

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial, TrialState

_LIBRARY = "optuna"
_trials_of_study = AttributePart(_LIBRARY, "Study", "_get_trials")
_put_trial = AttributePart(_LIBRARY, "InMemoryStorage", "_set_trial")
_sample = AttributePart(_LIBRARY, "TPESampler", "_sample")
_rank = AttributePart(_LIBRARY, "TPESampler", "_compute_acquisition_func")
_estimate = AttributePart(_LIBRARY, "TPESampler", "_build_parzen_estimator")
_share = AttributePart(_LIBRARY, "TPESampler", "_gamma")


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

    The score is the log of the ratio of two densities: of the good trials, and of the others.
    """
    return _rank.of(kind)(sampler, samples, below, above)


def take_as_good(sampler: Any, most: int) -> None:
    """Makes a TPE sampler count a tenth of the trials as good, at most 25 and at most `most`."""
    _share.set(sampler, lambda n: min(math.ceil(0.1 * n), 25, most))


def density_of(sampler: Any, study: Study, space: Any, trials: Sequence[FrozenTrial]) -> Any:
    """Returns the Parzen estimator that a TPE sampler builds from trials."""
    return _estimate.of(sampler)(study, space, list(trials), handle_below=True)


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
    # An object with all arguments at their defaults, for comparison. A class that needs arguments
    # raises an error here. Then the defaults in the signature are compared instead.
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
        return [_contents(each) for each in value]
    if isinstance(value, Mapping):
        return {name: _contents(each) for name, each in value.items()}
    if inspect.isroutine(value) or inspect.isclass(value):
        return value.__module__, value.__qualname__
    kind = type(value)
    if "RandomState" in kind.__name__:
        return kind.__name__
    attributes = getattr(value, "__dict__", {})
    return kind.__module__, kind.__qualname__, {n: _contents(v) for n, v in attributes.items()}
