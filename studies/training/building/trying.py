"""Tries a study's model on a few samples, to report mistakes before training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from search_spaces import Hyperparameters, SearchSpace
from search_spaces.errors import BuilderError, StudyError
from studies.training.batches import packed
from studies.training.building.build import build_model
from studies.training.models import fixed_batch_size, scalars
from studies.training.process.determinism import begin_trial
from studies.training.tensors import as_tensor
from studies.user_code.causes import explain, fatal, is_fatal, out_of_memory

if TYPE_CHECKING:
    import keras

    from studies.data import AnySplits
    from studies.definition.study_definition import StudyDefinition
    from studies.training.building.made_data import AnyData

_SAMPLES = 4
# Points of the space to check whether other hyperparameters fail like the default ones.
_OTHER_PLACES = (0.25, 0.75)


def try_model(
    study: StudyDefinition, model: keras.Model, splits: AnySplits, hp: Hyperparameters
) -> set[str]:
    """Trains a model for one batch, and validates it.

    It runs the steps untraced: tracing, as in `fit`, would take longer than all the rest. A failure
    counts only if `fit`, with another model, fails too.

    Args:
        study: The study.
        model: Its model; trained in place.
        splits: Its data.
        hp: The model's hyperparameters.

    Returns:
        The names of the metrics that the model logs.

    Raises:
        Exception: Whatever the training raises.
    """
    try:
        return _step_once(model, splits)
    except Exception as error:
        begin_trial(study.seed)
        try:
            return _fit_once(build_model(study, hp), splits)
        except Exception:
            raise error from None


def _step_once(model: keras.Model, splits: AnySplits) -> set[str]:
    import tensorflow as tf

    names: set[str] = set()
    for step, data, prefix in zip(
        (model.train_step, model.test_step), _samples(model, splits), ("", "val_"), strict=True
    ):
        model.reset_metrics()
        logs = step(tf.nest.map_structure(as_tensor, data))
        names.update(f"{prefix}{name}" for name in scalars(logs))
    return names


def _fit_once(model: keras.Model, splits: AnySplits) -> set[str]:
    import tensorflow as tf

    # Not as arrays, of which Keras takes no texts.
    train, validation = map(tf.data.Dataset.from_tensors, _samples(model, splits))
    history = model.fit(train, validation_data=validation, shuffle=False, verbose=0).history
    return set(scalars({name: values[-1] for name, values in history.items()}))


def _samples(model: keras.Model, splits: AnySplits) -> list[tuple[Any, ...]]:
    size = fixed_batch_size(model) or _SAMPLES
    return [packed(part.first(size)) for part in (splits.train, splits.validation)]


def failure(study: StudyDefinition, data: AnyData, error: Exception, doing: str) -> str:
    """Returns the message for default hyperparameters that fail, if others may not.

    Args:
        study: The study.
        data: Its data, or what makes it.
        error: What was raised.
        doing: Where, such as "the builder".

    Raises:
        BuilderError: If others fail alike: then it is a mistake in the study's code.
    """
    if is_fatal(error):
        raise fatal(error)
    text = explain(error, study.build)
    assert study.space is not None, "a session resolves the study's space"
    others = [] if out_of_memory(error) else list(_others(study.space))
    if not out_of_memory(error) and all(_raised(study, data, hp) == text for hp in others):
        alike = f", and those of {len(others)} others," if others else ""
        raise BuilderError(
            f"The study {study.name!r} can't be trained: {doing} of the default "
            f"hyperparameters{alike} raised {text}."
        )
    return (
        f"{doing[0].upper()}{doing[1:]} of the default hyperparameters raised {text}. Trials that "
        "raise are recorded as infeasible."
    )


def check_tensorboard(study: StudyDefinition, callbacks: Any) -> None:
    """Checks that the package for a TensorBoard callback is installed.

    Raises:
        BuilderError: If not; TensorFlow does not install it.
    """
    import keras

    found = find_spec("tensorboard")
    # A folder of that name, as for logs, can be imported too, and has no loader or file.
    installed = found is not None and found.origin is not None
    if not installed and any(
        isinstance(callback, keras.callbacks.TensorBoard) for callback in callbacks
    ):
        raise BuilderError(
            f"The study {study.name!r} has a TensorBoard callback, and the package tensorboard is "
            "not installed, so that every trial would fail. Install it (pip install tensorboard), "
            "or leave the callback out."
        )


def _others(space: SearchSpace) -> Iterator[Hyperparameters]:
    """Yields hyperparameters other than the default ones; none if the space has no others."""
    seen: list[Mapping[str, Any]] = [space.defaults()]
    for place in _OTHER_PLACES:
        values = space.from_unit(dict.fromkeys(space.dimensions, place))
        if values not in seen:
            seen.append(values)
            yield Hyperparameters(space, values)


def _raised(study: StudyDefinition, data: AnyData, hp: Hyperparameters) -> str:
    """Builds and tries a model; returns the error, or None."""
    # Late: it imports this one's neighbours.
    from studies.training.building.hypermodel import has_own_fit, rehearse
    from studies.training.building.made_data import splits_for

    try:
        splits = splits_for(data, hp)
        begin_trial(study.seed)
        model = build_model(study, hp)
        if has_own_fit(study.build):
            rehearse(study, model, splits, hp)
        else:
            try_model(study, model, splits, hp)
    except StudyError as error:
        return str(error)
    except Exception as error:
        return explain(error, study.build)
    return ""
