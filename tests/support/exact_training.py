"""Trains a model in several ways, and keeps its metrics and the bits of its state by epoch."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerastudy as ks
from search_spaces import Hyperparameters
from studies.data import Splits
from studies.definition import epoch_seed, permutation, with_class_weight
from studies.training import NotTrainedError, Trainer, Training, begin_trial, build_variables
from studies.training.traced_programs import compiled_trainer as compiled
from tracking.records import Objective, TrialSpec

SPACE = ks.SearchSpace(ks.Float("unused", 0.0, 1.0))
SEED = 3_000_000_007
COUNT = 64
VALIDATION = 24
# The states of seed generators that are not variables of the model. Builders add them.
GENERATORS: list[Any] = []


@dataclass(frozen=True)
class Epoch:
    """A model after an epoch: the metrics, and the bytes of weights and optimizer state."""

    metrics: Mapping[str, float]
    state: tuple[bytes, ...]
    weights: list[np.ndarray] = field(default_factory=list, compare=False, repr=False)


def samples(classes: int = 3, inputs: Any = None, targets: Any = None, **options: Any) -> Splits:
    """40 samples for training and 24 for validation."""
    numbers = np.random.default_rng(5).normal(size=(COUNT, 12)).astype("float32")
    x = numbers if inputs is None else inputs
    y = np.arange(COUNT) % classes if targets is None else targets
    return ks.datasets.arrays(x, y, **{"validation": VALIDATION, "test": None, **options}).load()


def spec_of(epochs: int = 2, batch_size: int = 16, **fields: Any) -> TrialSpec:
    fields = {"values": {"unused": 0.0}, "objective": Objective("val_loss", "min"), **fields}
    fields = {"seed": SEED, "threads": 1, "data_digest": "digest", **fields}
    return TrialSpec(0, 1, epochs=epochs, batch_size=batch_size, **fields)


def built(model_of: Callable[[], keras.Model], seed: int = SEED) -> keras.Model:
    begin_trial(seed)
    GENERATORS.clear()
    model = model_of()
    # A subclassed model may add weights when it is trained.
    if model.built and isinstance(model, keras.Sequential | keras.src.models.Functional):
        model.optimizer.build(model.trainable_variables)
    return model


def state_of(model: keras.Model) -> tuple[bytes, ...]:
    return tuple(v.numpy().tobytes() for v in [*model.weights, *model.optimizer.variables])


def leave_out_checks(patch: pytest.MonkeyPatch) -> None:
    """Leaves out the check of a program in its second trial, which takes as long as a training.

    Tests that compare this trial with a training by hand don't need the check.
    """
    patch.setattr(compiled, "is_due", lambda checked, values: False)


def set_generators(model: keras.Model, seed: int, epoch: int) -> None:
    """Sets the generators of an epoch, as in docs/reproducing.md."""
    random.seed(epoch_seed(seed, epoch, 2**32 - 1))
    np.random.seed(epoch_seed(seed, epoch, 2**32 - 2))
    own = [v for v in model.variables if v.name == "seed_generator_state"]
    # A loss may create its generator in its first call.
    seeds = getattr(model.loss, "seeds", None)
    others = GENERATORS or ([] if seeds is None else [seeds.state])
    for position, state in enumerate([*own, *others]):
        state.assign([epoch_seed(seed, epoch, position), 0])


def taken(arrays: Any, order: Any) -> Any:
    """Samples as `fit` takes them: texts are tensors."""

    def rows(array: np.ndarray) -> Any:
        return tf.constant(array[order]) if array.dtype.kind in "UO" else array[order]

    return keras.tree.map_structure(rows, arrays)


def by_hand(model_of: Callable[[], keras.Model], splits: Splits, spec: TrialSpec) -> list[Epoch]:
    """Trains by Keras alone, with a `fit` for each epoch."""
    model, epochs = built(model_of, spec.seed), []
    train, validation = splits.train, splits.validation
    x_validation = taken(validation.x, slice(None))
    if isinstance(model, keras.Sequential) and not model.built:
        # `fit` would build it, but the generators must be set before.
        model.build(train.x[:1].shape)
    weights = () if validation.sample_weight is None else (validation.sample_weight,)
    for epoch in range(1, spec.epochs + 1):
        order = permutation(spec.seed, epoch, len(train))
        set_generators(model, spec.seed, epoch)
        history = model.fit(
            taken(train.x, order),
            taken(train.y, order) if train.has_targets else None,
            sample_weight=None if train.sample_weight is None else train.sample_weight[order],
            class_weight=spec.class_weight,
            shuffle=False,
            batch_size=spec.batch_size,
            initial_epoch=epoch - 1,
            epochs=epoch,
            validation_data=(x_validation, validation.y if train.has_targets else None, *weights),
            validation_batch_size=spec.batch_size,
            verbose=0,
        )
        metrics = {name: values[0] for name, values in history.history.items()}
        epochs.append(Epoch(metrics, state_of(model), model.get_weights()))
    return epochs


def by_fit(
    model_of: Callable[[], keras.Model],
    splits: Splits,
    spec: TrialSpec,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> list[Epoch]:
    """Trains by a single `fit`, as callbacks need it. The samples have no weights."""
    model, epochs = built(model_of), []
    train, validation, size = splits.train, splits.validation, spec.batch_size

    def batches(epoch: int) -> Iterator[Any]:
        order = permutation(spec.seed, epoch, len(train))
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            yield train.x[rows], train.y[rows]

    class Beginning(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            set_generators(model, spec.seed, epoch + 1)

    class Ending(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            epochs.append(Epoch(dict(logs), state_of(model), model.get_weights()))

    count = None if len(train) % size else size
    data = tf.data.Dataset.from_generator(
        lambda: (batch for epoch in range(1, spec.epochs + 1) for batch in batches(epoch)),
        output_signature=tuple(
            tf.TensorSpec((count, *array.shape[1:]), array.dtype) for array in (train.x, train.y)
        ),
    )
    model.fit(
        data,
        steps_per_epoch=-(-len(train) // size),
        epochs=spec.epochs,
        validation_data=(validation.x, validation.y),
        validation_batch_size=size,
        callbacks=[Beginning(), *callbacks, Ending()],
        verbose=0,
    )
    return epochs


def by_trainer(
    trainer: Trainer,
    model_of: Callable[[], keras.Model],
    splits: Splits,
    spec: TrialSpec,
    initial: Sequence[Any] = (),
    initial_epoch: int = 0,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> list[Epoch]:
    """Trains by a trainer, as a trial does. `initial` is the state after `initial_epoch`."""
    splits = with_class_weight(splits, spec.class_weight)
    hp, unfit = Hyperparameters(SPACE, spec.values), ""
    while True:
        model, epochs = built(model_of), []
        if initial:
            build_variables(model, splits)
            variables = [*model.weights, *model.optimizer.variables]
            for variable, value in zip(variables, initial, strict=True):
                array = variable.numpy()
                variable.assign(np.frombuffer(value, array.dtype).reshape(array.shape))

        def on_epoch(
            epoch: int, metrics: Mapping[str, float], model: Any = model, epochs: Any = epochs
        ) -> bool:
            epochs.append(Epoch(dict(metrics), state_of(model)))
            return True

        training = Training(model, splits, spec, callbacks, hp, initial_epoch, unfit)
        try:
            trainer.train(training, on_epoch)
        except NotTrainedError as error:
            if unfit:
                raise
            unfit = str(error)
        else:
            return epochs
