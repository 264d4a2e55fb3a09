"""The code of a model's custom objects: the user's layers, losses and functions.

Keras saves only the names of custom objects, and can't load a model without their classes and
functions. So a model in MLflow's registry contains their code, and all code of the user's modules
that they use, pickled by cloudpickle. The same version of Python can load the model without the
study's file and data.
"""

from __future__ import annotations

import contextlib
import functools
import pickle
import sys
import types
import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from studies.error_texts import describe, first_paragraph
from studies.library_internals import compile_arguments
from studies.user_code import is_users

if TYPE_CHECKING:
    import keras


_LAMBDA = "__lambda__"
_ADVICE = "Use functions and classes of the top level of a file, without @tf.function."


class OwnCode(NamedTuple):
    """The pickled custom objects of a model."""

    # The argument `custom_objects` of `keras.saving.load_model`, pickled. Empty without objects.
    pickled: bytes = b""
    # Texts that say why the code of a layer, or of an object in a layer, is not included.
    missing: tuple[str, ...] = ()
    # Texts that say why the code of an argument of `compile`, such as a loss, is not included.
    missing_compiled: tuple[str, ...] = ()


def own_code(model: keras.Model) -> OwnCode:
    """Returns the code of the user's classes and functions in a model."""
    import keras

    config = keras.saving.serialize_keras_object(model)
    layers = {key: value for key, value in config.items() if key != "compile_config"}
    parts = [sorted(set(_names_in(part))) for part in (layers, config.get("compile_config"))]
    if not any(parts):
        return OwnCode()
    objects, included = _objects_in(model), dict[str, Any]()

    def why_missing(key: str, name: str) -> str:
        """Includes an object. Returns why it can't be included, or an empty text."""
        if name == _LAMBDA:
            return f"the layer {key!r} holds a lambda, which Keras loads in its unsafe mode only"
        if name not in objects:
            return f"{name!r} is in no attribute of the model"
        try:
            _pickled(objects[name])
        except Exception as error:
            return f"{name!r} can't be pickled: {describe(error)}"
        included[key] = objects[name]
        return ""

    with _users_modules_by_value():
        missing = [tuple(filter(None, (why_missing(*names) for names in part))) for part in parts]
        return OwnCode(_pickled(included) if included else b"", *missing)


def loading_warnings(model: keras.Model) -> list[str]:
    """Returns warnings if a model can't be saved for MLflow, loaded again, or loaded compiled."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            code = own_code(model)
        except Exception as error:
            return [
                "Keras can't save the model, so the best trial's model will not be registered: "
                f"{first_paragraph(error)}. {_ADVICE}"
            ]
    notes = {
        "The registered model can't be loaded": code.missing,
        "The registered model will not be compiled when loaded": code.missing_compiled,
    }
    return [
        f"{text}: {'; '.join(missing)}. {_ADVICE}" for text, missing in notes.items() if missing
    ]


def _names_in(part: Any, layer: str = "") -> Iterator[tuple[str, str]]:
    """Yields two names of each custom object in a config: Keras's name, and the name in code.

    A lambda has no name. It gets the name of its layer, and `_LAMBDA`.
    """
    if isinstance(part, Mapping):
        kind, inner = part.get("class_name"), part.get("config")
        library = str(part.get("module") or "").partition(".")[0]
        if kind == _LAMBDA:
            yield layer, _LAMBDA
            return
        if kind == "function" and isinstance(inner, str):
            yield inner, inner.rpartition(">")[2]
        # Keras's class Functional has a `registered_name` too, so check the library.
        elif isinstance(kind, str) and part.get("registered_name") and library != "keras":
            yield str(part["registered_name"]), kind
        if isinstance(inner, Mapping) and isinstance(inner.get("name"), str):
            layer = inner["name"]
        for value in part.values():
            yield from _names_in(value, layer)
    elif isinstance(part, list | tuple):
        for value in part:
            yield from _names_in(value, layer)


def _objects_in(model: keras.Model) -> dict[str, Any]:
    """Returns the functions and the classes of objects in a model's attributes, by name."""
    named: dict[str, Any] = {}
    waiting: list[Any] = [model, compile_arguments(model) if model.compiled else {}]
    ids: set[int] = set()
    while waiting:
        value = waiting.pop()
        if id(value) in ids:
            continue
        ids.add(id(value))
        if isinstance(value, Mapping):
            waiting += value.values()
        elif isinstance(value, list | tuple | set):
            waiting += value
        elif isinstance(value, functools.partial):
            waiting.append(value.func)
        elif isinstance(value, types.FunctionType | type):
            named.setdefault(value.__name__, value)
        elif hasattr(value, "get_config"):
            named.setdefault(type(value).__name__, type(value))
            waiting.append(getattr(value, "__dict__", {}))
    return named


@contextlib.contextmanager
def _users_modules_by_value() -> Iterator[None]:
    import cloudpickle

    modules = [
        module
        for name, module in list(sys.modules.items())
        if isinstance(module, types.ModuleType)
        and name == module.__name__ != "__main__"
        and is_users(str(vars(module).get("__file__") or "<"))
    ]
    for module in modules:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in modules:
            cloudpickle.unregister_pickle_by_value(module)


def _pickled(value: Any) -> bytes:
    import cloudpickle

    return bytes(cloudpickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL))
