"""Loads a registered model that Keras and MLflow can't load by themselves.

MLflow imports a copy of this file from the model's folder. So loading a model needs Keras, but not
kerastudy.
"""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

# A model's folder has copies of this module and of `studies.data.numbers_texts_and_dates`.
# These are the names of the copies.
_MODULE, _VALUES = "_kerastudy_champion", "_kerastudy_values"
# The folder with these two modules. MLflow puts it on Python's path.
_CODE = "code"
# The folder with the user's pickled classes and functions, and facts about them.
_OWN_CODE = "own_code"
_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


class ServedModel:
    """A Keras model with the methods that `mlflow.pyfunc` calls."""

    def __init__(self, model: Any, reading: Mapping[str, Any]) -> None:
        self._model = model
        self._reading = reading

    def get_raw_model(self) -> Any:
        """Returns the Keras model."""
        return self._model

    def predict(self, data: Any, params: Any = None) -> Any:
        """Returns the model's predictions.

        Args:
            data: A table with the model's columns, or data for `keras.Model.predict`.
            params: MLflow passes None.

        Returns:
            A table with the index of `data`, if `data` is a table and the model has one output.
            Otherwise the arrays that `keras.Model.predict` returns.
        """
        if not hasattr(data, "columns"):
            return self._model.predict(_as_read(data), verbose=0)
        import numpy as np
        import pandas as pd

        if isinstance(getattr(self._model, "input", None), Mapping):
            # `_kerastudy_values` is in the same folder as the copy of this file.
            from _kerastudy_values import model_columns  # type: ignore[import-not-found]

            x = model_columns(self._model, data, **self._reading)
        else:
            types = [getattr(dtype, "numpy_dtype", dtype) for dtype in data.dtypes]
            x = data.to_numpy(dtype=np.result_type(*types))
        predicted = self._model.predict(x, verbose=0)
        one = isinstance(predicted, np.ndarray) and predicted.ndim <= 2
        return pd.DataFrame(predicted, index=data.index) if one else predicted


def _as_read(data: Any) -> Any:
    """Returns data with tensors in place of arrays of texts, which Keras does not take."""
    if isinstance(data, Mapping):
        return {name: _as_read(array) for name, array in data.items()}
    if getattr(getattr(data, "dtype", None), "kind", "") not in ("U", "O"):
        return data
    import tensorflow as tf

    return tf.constant(data)


def load_keras_model(folder: str | Path) -> Any:
    """Loads a Keras model from the folder of an MLflow model.

    The folder has the code of the user's layers, losses and metrics. If the code of the loss or of
    a metric could not be saved, the loaded model is not compiled. If the code of a layer could not
    be saved, the model can't be loaded.
    """
    import keras

    folder = Path(folder)
    contents, pickled = _contents(folder), folder / _OWN_CODE / "objects.pkl"
    fault = loading_fault(folder)
    if fault is not None:
        raise ValueError(fault)
    python = contents.get("python", _PYTHON)
    if pickled.is_file() and python != _PYTHON:
        raise ValueError(
            f"Python {_PYTHON} can't load the code of the model, which Python {python} saved"
        )
    return keras.saving.load_model(
        folder / "data" / "model.keras",
        custom_objects=pickle.loads(pickled.read_bytes()) if pickled.is_file() else {},
        compile=contents.get("compiles", True),
    )


def loading_fault(folder: Path) -> str | None:
    """Returns why the model in a folder can't be loaded, and what to do. None if it can."""
    missing = _contents(folder).get("missing")
    advice = "Use functions and classes of the top level of the study's file, without @tf.function"
    return f"{'; '.join(missing)}. {advice}" if missing else None


def _load_pyfunc(path: str) -> ServedModel:
    """Loads a model for `mlflow.pyfunc.load_model`, which calls this function."""
    return ServedModel(load_keras_model(path), reading_of(path))


def reading_of(folder: str | Path) -> dict[str, Any]:
    """Returns the arguments `missing` and `units` of `model_columns` for a model's table."""
    return dict(_contents(Path(folder)).get("reading", {}))


def _contents(folder: Path) -> dict[str, Any]:
    file = folder / _OWN_CODE / "contents.json"
    contents: dict[str, Any] = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    return contents


def put_into(
    saved: Any,
    folder: Path,
    pickled: bytes,
    *,
    missing: Sequence[str],
    compiles: bool,
    reading: Mapping[str, Any],
) -> None:
    """Copies this file and the `own_code` of a model into the folder to which MLflow saved it.

    Call this function before the `MLmodel` file is written, because that file must name the copy as
    the model's loader.
    """
    from studies.data import numbers_texts_and_dates as values

    code, own_code = folder / _CODE, folder / _OWN_CODE
    code.mkdir()
    (code / f"{_MODULE}.py").write_bytes(Path(__file__).read_bytes())
    (code / f"{_VALUES}.py").write_bytes(Path(values.__file__).read_bytes())
    saved.flavors["python_function"] |= {"loader_module": _MODULE, "code": _CODE}
    own_code.mkdir()
    if pickled:
        (own_code / "objects.pkl").write_bytes(pickled)
    contents = {
        "python": _PYTHON,
        "missing": list(missing),
        "compiles": compiles,
        "reading": reading,
    }
    (own_code / "contents.json").write_text(json.dumps(contents, indent=1), "utf-8")
