"""The state of callbacks outside of their attributes: closures, globals, classes, functions."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from studies.training.states.callback_states import is_operation
from studies.training.structures.fingerprints import Fingerprint, library_of

if TYPE_CHECKING:
    import keras

# Modules of the standard library whose objects' state changes no training.
_OUTPUT = frozenset({"_io", "_thread", "io", "logging", "threading"})
_INSTALLED = tuple({sysconfig.get_path(name) for name in ("purelib", "platlib")})


class Surroundings(Fingerprint):
    """A digest of what the code of callbacks can reach, without their attributes and the model.

    It does not read installed packages.
    """

    def __init__(self, callbacks: Sequence[keras.callbacks.Callback]) -> None:
        import keras
        import tensorflow as tf

        self._callbacks = {id(callback) for callback in callbacks}
        self._parts: tuple[type, ...] = (
            *(keras.Layer, keras.Variable, keras.optimizers.Optimizer),
            *(tf.Variable, tf.Tensor),
        )
        super().__init__(*callbacks)

    def _visit(self, value: Any) -> None:
        kind = type(value)
        if id(value) in self._callbacks:
            self._visit_callback(value)
        elif self._is_of_the_model(value) or library_of(kind) in _OUTPUT:
            self._write("object", kind.__qualname__)
        elif _is_installed(kind) and not isinstance(value, type):
            self._write("object", kind.__module__, kind.__qualname__)
        else:
            super()._visit(value)

    def _visit_callback(self, callback: Any) -> None:
        self._write("callback", self._kind(type(callback)))
        for name, item in vars(callback).items():
            # Keras's callbacks get functions, which aren't part of their state.
            if callable(item) and not is_operation(item) and not self._is_of_the_model(item):
                self._write(name, self._token(item))

    def _is_of_the_model(self, value: Any) -> bool:
        return isinstance(value, self._parts)

    def _goes_by_name(self, thing: Any) -> bool:
        return super()._goes_by_name(thing) or _is_installed(thing)

    def _unreadable(self, why: str) -> str:
        # Data from outside of the process is no state of the code.
        return "unreadable" if why.startswith("code that") else super()._unreadable(why)


def _is_installed(thing: Any) -> bool:
    module = sys.modules.get(str(getattr(thing, "__module__", "")))
    return str(getattr(module, "__file__", None) or "").startswith(_INSTALLED)
