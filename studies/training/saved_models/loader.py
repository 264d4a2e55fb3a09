"""Loads a registered model that Keras and MLflow can't load by themselves.

This file is copied into the model's folder, where MLflow runs it: it needs only Keras. It takes
tables by the names of their columns, of any types.
"""

from __future__ import annotations

import json
import linecache
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

CODE = "code"
"""The folder that MLflow puts on the path: it has no code of the user."""
USERS_CODE = "users_code"
OBJECTS = "objects.json"


class ServedModel:
    """A Keras model as `mlflow.pyfunc` calls it."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def get_raw_model(self) -> Any:
        """Returns the Keras model."""
        return self._model

    def predict(self, data: Any, params: Any = None) -> Any:
        """Returns what the model predicts.

        Args:
            data: A table, in the order of the model's columns, or what Keras takes.
            params: None.

        Returns:
            A table with the same index for a table and a model of one output; else arrays.
        """
        if hasattr(data, "columns") and self._takes_columns():
            return self._predicted_columns(data)
        if not hasattr(data, "columns"):
            return self._model.predict(_as_read(data), verbose=0)
        import numpy as np
        import pandas as pd

        types = [getattr(dtype, "numpy_dtype", dtype) for dtype in data.dtypes]
        made = self._model.predict(data.to_numpy(dtype=np.result_type(*types)), verbose=0)
        one = isinstance(made, np.ndarray) and made.ndim <= 2
        return pd.DataFrame(made, index=data.index) if one else made

    def _takes_columns(self) -> bool:
        inputs = getattr(self._model, "input", None)
        return isinstance(inputs, Mapping)

    def _predicted_columns(self, table: Any) -> Any:
        """Returns what a model with an input for each column predicts."""
        import numpy as np
        import pandas as pd

        # Next to this file.
        from _kerastudy_values import model_columns  # type: ignore[import-not-found]

        made = self._model.predict(model_columns(self._model, table), verbose=0)
        one = isinstance(made, np.ndarray) and made.ndim <= 2
        return pd.DataFrame(made, index=table.index) if one else made


def _as_read(data: Any) -> Any:
    """Returns data as Keras reads it: it takes no arrays of texts."""
    if isinstance(data, Mapping):
        return {name: _as_read(each) for name, each in data.items()}
    if getattr(getattr(data, "dtype", None), "kind", "") not in ("U", "O"):
        return data
    import tensorflow as tf

    return tf.constant(data)


def load_keras_model(folder: str | Path) -> Any:
    """Returns the Keras model of a folder that MLflow saved it in.

    The code of its own layers, losses and metrics was saved with it. If its loss or metrics could
    not be saved, it is not compiled.
    """
    import keras

    folder = Path(folder)
    contents = _contents(folder)
    return keras.saving.load_model(
        folder / "data" / "model.keras",
        custom_objects=_objects(folder / USERS_CODE, contents),
        compile=contents.get("compiles", True),
    )


def can_not_be_loaded(folder: Path) -> bool:
    """Returns whether a model has layers that could not be saved safely, or lack their code."""
    return bool(_contents(folder).get("missing"))


def _load_pyfunc(path: str) -> ServedModel:
    """`mlflow.pyfunc.load_model` calls it."""
    return ServedModel(load_keras_model(path))


def _contents(folder: Path) -> dict[str, Any]:
    file = folder / USERS_CODE / OBJECTS
    contents: dict[str, Any] = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    return contents


def _objects(folder: Path, contents: dict[str, Any]) -> dict[str, Any]:
    """Returns a model's own classes and functions by the names that Keras looks for."""
    made: dict[str, ModuleType] = {}
    before = {name: sys.modules.get(name) for name in contents.get("modules", {})}
    try:
        for name, file in contents.get("modules", {}).items():
            if Path(file).name != file:
                raise ValueError(f"{file!r} is no file of the model's own code")
            # Instead of another one of the same name, which may be another version.
            made[name] = sys.modules[name] = module = ModuleType(name)
            module.__file__ = path = str(folder / file)
            module.__package__ = name.rpartition(".")[0]
            _put_into_packages(name, before)
            text = Path(path).read_text("utf-8")
            # Where Python, and with it TensorFlow's AutoGraph, reads a function's text.
            linecache.cache[path] = (len(text), None, text.splitlines(True), path)
            exec(compile(text, path, "exec", dont_inherit=True), module.__dict__)
    finally:
        for name, module_before in before.items():
            if module_before is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = module_before
    return {
        key: _found(made[module], name)
        for key, (module, name) in contents.get("objects", {}).items()
    }


def _put_into_packages(name: str, before: dict[str, ModuleType | None]) -> None:
    """Adds a module to its packages, which are made if they are missing."""
    package, _, last = name.rpartition(".")
    while package:
        if package not in sys.modules:
            before.setdefault(package, None)
            sys.modules[package] = ModuleType(package)
            sys.modules[package].__path__ = []
        setattr(sys.modules[package], last, sys.modules[f"{package}.{last}"])
        package, _, last = package.rpartition(".")


def _found(module: ModuleType, name: str) -> Any:
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part)
    return found


def put_into(
    saved: Any,
    folder: Path,
    modules: Mapping[str, str],
    objects: Mapping[str, tuple[str, str]],
    *,
    missing: Sequence[str],
    compiles: bool,
) -> None:
    """Makes this file load a model that MLflow has saved, with its `own_code`.

    Before the model's description (`mlflow.models.Model`) is written to the folder.
    """
    from studies.data import column_values as values

    code, users = folder / CODE, folder / USERS_CODE
    code.mkdir()
    (code / f"{MODULE}.py").write_bytes(Path(__file__).read_bytes())
    (code / f"{VALUES}.py").write_bytes(Path(values.__file__).read_bytes())
    saved.flavors["python_function"] |= {"loader_module": MODULE, "code": CODE}
    users.mkdir()
    files = {name: f"{number}_{name}.py" for number, name in enumerate(modules)}
    for name, text in modules.items():
        (users / files[name]).write_text(text, "utf-8")
    contents = {
        "modules": files,
        "objects": dict(objects),
        "missing": list(missing),
        "compiles": compiles,
    }
    (users / OBJECTS).write_text(json.dumps(contents, indent=1), "utf-8")


MODULE, VALUES = "_kerastudy_champion", "_kerastudy_values"
"""The names of this file, and of `values` of tables, in a model's folder."""
