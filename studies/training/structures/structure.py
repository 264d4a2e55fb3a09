"""The structure of a model: what decides its traced graph, as a key to compare.

It covers everything reachable from the model: attributes of layers, optimizer, losses and metrics,
the graph that connects them, and the code of classes and functions outside of libraries, with their
closures and the globals that they name. It omits what a program gets for each trial: the values of
variables, and lifted numbers. If the code reads anything else, the structure is unique.
"""

from __future__ import annotations

import random
import types
from collections.abc import Mapping
from typing import Any

import numpy as np

from studies.libraries import keras_parts
from studies.libraries.tensorflow_parts import is_plain_variable
from studies.training.structures.code_reading import Reads, library_of
from studies.training.structures.fingerprints import Fingerprint, attributes_of
from studies.training.structures.lifting import LiftedNumber

# Lifted numbers, by class and attribute. tests/studies/test_exactness shows that each is exact.
_LIFTED: Mapping[str, tuple[str, ...]] = {
    "Dropout": ("rate",),
    "SpatialDropout1D": ("rate",),
    "SpatialDropout2D": ("rate",),
    "SpatialDropout3D": ("rate",),
    "GaussianNoise": ("stddev",),
    "AlphaDropout": ("rate",),
    "L1": ("l1",),
    "L2": ("l2",),
    "L1L2": ("l1", "l2"),
    "SGD": ("momentum", "weight_decay"),
    "Adam": ("weight_decay",),
    "AdamW": ("weight_decay",),
    "Nadam": ("weight_decay",),
    "RMSprop": ("weight_decay",),
    "Adagrad": ("weight_decay",),
    "Adadelta": ("weight_decay",),
    "Adamax": ("weight_decay",),
    "Lion": ("weight_decay",),
    "CosineDecay": ("initial_learning_rate", "alpha", "warmup_target"),
    "CosineDecayRestarts": ("initial_learning_rate", "alpha"),
    "ExponentialDecay": ("initial_learning_rate", "decay_rate"),
    "InverseTimeDecay": ("initial_learning_rate", "decay_rate"),
    "PolynomialDecay": ("initial_learning_rate", "end_learning_rate"),
}

_RANDOM = (random.Random, np.random.Generator, np.random.RandomState, np.random.BitGenerator)


class Structure(Fingerprint):
    """A model's structure.

    Attributes:
        key: Equal for models with the same traced graph, except for `numbers`.
        variables: All reachable Keras variables, in an order that the key fixes.
        numbers: The numbers that are lifted out of the graph, likewise.
        values: The values of the numbers.
        others: Other objects that were read.
        reason: Why the structure is unique, or empty.
        state: Something with state that a program can't get, or empty.
    """

    def __init__(self, model: object, *others: object) -> None:
        import keras

        self.variables: list[keras.Variable] = []
        self.numbers: list[LiftedNumber] = []
        self.others = others
        self.state = ""
        self._keras = keras
        # Attributes that decide initial values, unless code that runs later reads them.
        self._initial: set[str] = set()
        self._read: set[str] = set()
        super().__init__(model, *others)
        self.values = tuple(source.value for source in self.numbers)

    @property
    def traced(self) -> str:
        """What a trace of the model depends on now, as text to compare later."""
        return "" if self.reason else f"{self.key} {self.values}"

    def is_like(self, other: Structure) -> bool:
        """Returns whether all readable parts equal those of another structure."""
        return (self.digest, self.values) == (other.digest, other.values)

    def _visit(self, value: Any) -> None:
        if isinstance(value, self._keras.Variable):
            self._visit_variable(value)
        else:
            super()._visit(value)

    def _visit_variable(self, variable: Any) -> None:
        value = keras_parts.value_held(variable)
        if value is None or not is_plain_variable(value):
            self._unreadable(f"the variable {variable.path!r} has no value yet")
            return
        self.variables.append(variable)
        autocast, layout = keras_parts.traits_of(variable)
        self._write(
            "variable",
            variable.name,
            variable.path,
            tuple(variable.shape),
            str(variable.dtype),
            (variable.trainable, value.trainable, value.dtype.name, value.device),
            (autocast, variable.aggregation, variable.synchronization),
            variable.overwrite_with_gradient,
            self._token(variable.regularizer),
            self._token(variable.constraint),
            self._token(layout),
        )

    def _visit_object(self, value: Any) -> None:
        import tensorflow as tf

        if isinstance(value, tf.Variable):
            where = self._holder_of(value)
            self.state = f"a tf.Variable that is in no Keras variable{where}"
        elif isinstance(value, tf.Tensor):
            if not hasattr(value, "numpy") or value.dtype in (tf.resource, tf.variant):
                self._unreadable("a tensor without a value")
                return
            self._write("tensor", value.dtype.name, self._token(value.numpy()))
        elif isinstance(value, tf.DType | tf.TensorShape):
            self._write(type(value).__name__, repr(value))
        elif hasattr(type(value), "__next__") or isinstance(value, _RANDOM):
            what = "random numbers" if isinstance(value, _RANDOM) else "an iterator"
            self.state = f"{what} ({type(value).__module__}.{type(value).__qualname__})"
        else:
            super()._visit_object(value)

    def _holder_of(self, value: object) -> str:
        """Returns the layer of a value, as a part of a sentence; or empty."""
        for holder in self._alive:
            if isinstance(holder, self._keras.layers.Layer):
                for _, item in attributes_of(holder):
                    held = list(item.values()) if isinstance(item, dict) else item
                    held = held if isinstance(held, list | tuple) else [held]
                    if any(each is value for each in held):
                        return f" (in the layer {holder.name!r})"
        return ""

    def _visit_attributes(self, value: Any) -> None:
        kind = type(value)
        keras_own = library_of(kind) == "keras"
        exact = keras_own and kind.__name__ in _LIFTED and self._is_public(kind)
        self._write("object", self._kind(kind))
        for name, item in attributes_of(value):
            if self._passes_over(kind, name, item):
                continue
            if self._is_of_initial_values(value, keras_own, name, item):
                self._initial.add(name.strip("_"))
                continue
            if name == keras_parts.STRATEGY and item is not None:
                self._unreadable("a distribution strategy")
            if keras_own and name == keras_parts.EXCLUDED_FROM_DECAY:
                self._write(name, keras_parts.positions_of(item, value))
                continue
            if exact and name in _LIFTED[kind.__name__] and _is_number(item):
                self._write(name, "lifted", len(self.numbers))
                self.numbers.append(LiftedNumber(value, name))
                continue
            self._write(name, self._token(item))

    def _passes_over(self, kind: type, name: str, item: Any) -> bool:
        """Returns whether an attribute is bookkeeping of Keras or TensorFlow."""
        if not any(library_of(base) in ("keras", "tensorflow") for base in kind.__mro__):
            return False
        if name in keras_parts.BOOKKEEPING_OF_MODELS:
            return issubclass(kind, self._keras.Model)
        if isinstance(item, types.ModuleType):
            return library_of(kind) == "keras"
        # Methods that Keras wraps for each object.
        wrapped = name in ("build", "quantize") and isinstance(item, types.FunctionType)
        return wrapped or name in keras_parts.BOOKKEEPING or name.startswith("_self_")

    def _is_public(self, kind: type) -> bool:
        """Returns whether a class is the one that Keras exports under its name."""
        keras = self._keras
        optimizers = keras.optimizers
        rooms = (keras.layers, keras.regularizers, optimizers, optimizers.schedules)
        return any(getattr(room, kind.__name__, None) is kind for room in rooms)

    def _is_of_initial_values(self, holder: Any, keras_own: bool, name: str, item: Any) -> bool:
        """Returns whether an attribute decides initial values, which a program gets."""
        initializer = self._keras.initializers.Initializer
        if isinstance(holder, self._keras.layers.Layer) and isinstance(item, initializer):
            return library_of(type(item)) == "keras"
        # Not in an initializer itself: those that are visited make no layer's weights.
        return keras_own and name in keras_parts.SEEDS and not isinstance(holder, initializer)

    def _note(self, reads: Reads) -> None:
        self._read.update(name.strip("_") for name in reads.attributes)

    def _conclude(self) -> None:
        for name in sorted(self._initial & self._read):
            self._impure(f"the attribute {name!r}, which decides initial values")


def _is_number(item: Any) -> bool:
    """Returns whether an attribute is a Python float, or one as a tensor (as in Keras's L1)."""
    import tensorflow as tf

    if type(item) is float:
        return True
    return isinstance(item, tf.Tensor) and item.shape.rank == 0 and item.dtype == tf.float32
