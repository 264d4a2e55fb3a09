"""Loads a registered model that Keras and MLflow can't load by themselves.

This file is copied into the model's folder, and is what MLflow runs there: it needs Keras alone.
It takes tables by the names of their columns, whatever their types.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

CODE = "code"
"""What MLflow puts onto the path: nothing of the user's is in it."""
USERS_CODE = "users_code"
OBJECTS = "objects.json"


class ServedModel:
    """A Keras model as `mlflow.pyfunc` calls it.

    Args:
        model: The Keras model.
    """

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
        if not hasattr(data, "columns"):
            return self._model.predict(data, verbose=0)
        import numpy as np
        import pandas as pd

        types = [getattr(dtype, "numpy_dtype", dtype) for dtype in data.dtypes]
        made = self._model.predict(data.to_numpy(dtype=np.result_type(*types)), verbose=0)
        one = isinstance(made, np.ndarray) and made.ndim <= 2
        return pd.DataFrame(made, index=data.index) if one else made


def load_keras_model(folder: str | Path) -> Any:
    """Returns the Keras model of a folder that MLflow saved it in.

    Its own layers, losses and metrics are made by the code that was saved with it.
    """
    import keras

    folder = Path(folder)
    objects = _objects(folder / USERS_CODE)
    return keras.saving.load_model(folder / "data" / "model.keras", custom_objects=objects)


def _load_pyfunc(path: str) -> ServedModel:
    """Is what `mlflow.pyfunc.load_model` calls."""
    return ServedModel(load_keras_model(path))


def _objects(folder: Path) -> dict[str, Any]:
    """Returns a model's own classes and functions by the names that Keras looks for."""
    if not (folder / OBJECTS).is_file():
        return {}
    told = json.loads((folder / OBJECTS).read_text(encoding="utf-8"))
    before = {name: sys.modules.get(name) for name in told["modules"]}
    made: dict[str, ModuleType] = {}
    try:
        for name, file in told["modules"].items():
            # In place of another of the same name, which may be another version of it.
            made[name] = sys.modules[name] = module = ModuleType(name)
            path = folder / file
            module.__file__ = str(path)
            text = path.read_text(encoding="utf-8")
            exec(compile(text, str(path), "exec", dont_inherit=True), module.__dict__)
    finally:
        for name, module_before in before.items():
            if module_before is not None:
                sys.modules[name] = module_before
    return {key: _found(made[module], name) for key, (module, name) in told["objects"].items()}


def _found(module: ModuleType, name: str) -> Any:
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part)
    return found


def put_into(saved: Any, folder: Path) -> None:
    """Makes this file load a model that MLflow has saved.

    Args:
        saved: `mlflow.models.Model`, not written to its folder yet.
        folder: The model's folder.
    """
    code = folder / CODE
    code.mkdir(exist_ok=True)
    (code / f"{MODULE}.py").write_bytes(Path(__file__).read_bytes())
    saved.flavors["python_function"] |= {"loader_module": MODULE, "code": CODE}


MODULE = "_kerastudy_champion"
"""The name of this file in a model's folder."""
