"""Code that another process gets: a study, and the own layers of a registered model."""

from __future__ import annotations

import inspect
import linecache
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from user_commands import run

import kerastudy as ks
from search_spaces import StudyError
from studies import Study
from studies.training import load_keras_model, loading_warnings, own_code
from studies.user_code import describe_code, ship, unpack
from tracking.records import CodeDescription

NO_CODE = CodeDescription("", "", "", "")
X = np.arange(60_000, dtype="float32").reshape(10_000, 6)
Y = np.arange(10_000) % 3


def make(build: Callable[[Any], Any], data: ks.datasets.Dataset | None = None) -> Study:
    return Study("sent", data=data or ks.datasets.arrays(X, Y), build=build)


def there_and_back(study: Study, folder: Path) -> Study:
    return unpack(ship(study, NO_CODE, folder))


def test_large_arrays_go_into_files_once_each(tmp_path: Path) -> None:
    table = np.ones((200, 200))
    few = np.ones(9)

    def build(hp: Any) -> Any:
        return table.sum() + X.sum() + few.sum()

    study = there_and_back(make(build), tmp_path)
    assert study.data.load().digest == make(build).data.load().digest
    files = {file.name: np.load(file).nbytes for file in tmp_path.glob("*.npy")}
    assert sorted(files.values()) == sorted([X.nbytes, Y.nbytes, table.nbytes])
    assert (tmp_path / "study").stat().st_size < X.nbytes / 2
    arrays = inspect.getclosurevars(study.build).nonlocals
    assert isinstance(arrays["table"], np.memmap) and not isinstance(arrays["few"], np.memmap)
    # A builder may write to what it uses; that stays in its process.
    arrays["table"][0] = 7
    assert np.load(tmp_path / Path(arrays["table"].filename).name).max() == 1


def test_neither_an_array_in_a_file_nor_what_was_loaded_is_copied(tmp_path: Path) -> None:
    folder = tmp_path / "sent"
    folder.mkdir()
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    data = ks.datasets.arrays(mapped, Y)
    study = there_and_back(make(lambda hp: None, data), folder)
    assert study.data.load().digest == ks.datasets.arrays(X, Y).load().digest
    assert [np.load(file).nbytes for file in folder.glob("*.npy")] == [Y.nbytes]
    digits = ks.datasets.digits()
    digits.load()
    there_and_back(make(lambda hp: None, digits), tmp_path)
    assert [file.name for file in tmp_path.glob("*.npy")] == ["x.npy"]


def test_what_cannot_be_sent_is_told(tmp_path: Path) -> None:
    lock = threading.Lock()
    with pytest.raises(StudyError, match=r"'sent' can't be sent .*'in-process'") as raised:
        ship(make(lambda hp: lock.locked()), NO_CODE, tmp_path)
    assert "lock" in str(raised.value)
    with pytest.raises(StudyError, match=r"in the functions\. Or don't\.$"):
        ship(make(lambda hp: lock.locked()), NO_CODE, tmp_path, "Or don't.")


def test_a_function_of_tensorflow_is_sent_after_it_was_called(tmp_path: Path) -> None:
    @tf.function(reduce_retracing=True)
    def doubled(x: Any) -> Any:
        return x * 2.0

    assert float(doubled(tf.constant(3.0))) == 6.0
    function = there_and_back(make(lambda hp: doubled), tmp_path).build(None)
    assert type(function) is type(doubled) and function is not doubled
    assert float(function(tf.constant([1.0]))[0]) == 2.0


def test_the_text_of_a_cell_goes_along_and_is_recorded(tmp_path: Path) -> None:
    """A notebook's cell is in no file; Python keeps its text under a made-up name."""
    text = "# The best one yet.\ndef build(hp):\n    return None\n"
    name = str(tmp_path / "cell.py")
    linecache.cache[name] = (len(text), None, text.splitlines(True), name)
    defined: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(text, name, "exec"), defined)
    study = make(defined["build"])
    code = describe_code(study, "sent")
    assert (code.path, code.source, code.study_name) == ("", text, "sent")
    assert code.digest
    shipped = ship(study, code, tmp_path)
    del linecache.cache[name]
    assert inspect.getsource(unpack(shipped).build) == text.partition("\n")[2]


SCRIPT = """
import sys
from pathlib import Path
import kerastudy as ks
import beside
from studies.user_code import ship
from tracking.records import CodeDescription

def helper():
    return beside.UNITS + OWN

def build(hp):
    return helper()

OWN = 2
study = ks.Study("sent", data=ks.datasets.digits(), build=build)
ship(study, CodeDescription("", "", "", ""), Path(sys.argv[1]))
"""
RECEIVER = """
import sys
from pathlib import Path
import kerastudy
from studies.user_code.pickled_study import ShippedStudy, unpack
from tracking.records import CodeDescription

study = unpack(ShippedStudy(Path(sys.argv[1]), CodeDescription("", "", "", ""), {}))
print(study.build(None), study.build.__code__.co_filename)
"""


def test_a_script_is_not_run_again_and_what_it_imports_is_found(tmp_path: Path) -> None:
    script = tmp_path / "repository" / "script.py"
    script.parent.mkdir()
    script.write_text(SCRIPT, encoding="utf-8")
    (script.parent / "beside.py").write_text("UNITS = 40\n")
    sent = tmp_path / "sent"
    sent.mkdir()
    run(tmp_path, [sys.executable, str(script), str(sent)])
    script.write_text("raise AssertionError('run again')")
    done = run(tmp_path, [sys.executable, "-c", RECEIVER, str(sent)])
    assert done.stdout.split(maxsplit=1) == ["42", f"{script}\n"]


# The code of a model's own layers and losses goes with the registered model.

FACTOR = 3.0
ADDENDS = {"first": 1.0, "second": 2.0}


def doubled(x: Any) -> Any:
    # By numpy, whose generators are no code of the model's.
    return x * FACTOR + np.add(ADDENDS["first"], ADDENDS["second"])


def weighted(weight: float) -> Any:
    def loss(y_true: Any, y_pred: Any) -> Any:
        return keras.ops.mean(y_true - y_pred) * weight

    return loss


def with_lambda() -> keras.Model:
    return compiled([keras.layers.Lambda(lambda x: x * 2, name="twice")], "mse")


def with_generator() -> keras.Model:
    weights = (each for each in (2.0,))
    return compiled([], weighted(weights))  # type: ignore[arg-type]


def with_own_code() -> keras.Model:
    """A class in a function, a function of the file, and a loss that closes over a number."""
    factor = 2.0

    class Local(keras.layers.Layer):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            return x * factor

    return compiled([Local(), keras.layers.Lambda(doubled)], weighted(2.0))


def compiled(layers: list[Any], loss: Any) -> keras.Model:
    model = keras.Sequential([keras.Input((2,)), *layers, keras.layers.Dense(1)])
    model.compile("sgd", loss)
    return model


LOAD = """
import pickle, sys
import keras, numpy as np
with open(sys.argv[1], "rb") as file:
    objects = pickle.load(file)
model = keras.saving.load_model(sys.argv[2], custom_objects=objects)
np.save(sys.argv[3], model.predict(np.ones((3, 2)), verbose=0))
model.fit(np.ones((3, 2)), np.ones((3, 1)), verbose=0)
"""


def test_a_process_without_the_file_loads_a_model_with_all_that_it_needs(tmp_path: Path) -> None:
    model = with_own_code()
    assert loading_warnings(model) == []
    model.save(tmp_path / "model.keras")
    (tmp_path / "own.pkl").write_bytes(own_code(model).pickled)
    names = ["own.pkl", "model.keras", "predicted.npy"]
    subprocess.run([sys.executable, "-I", "-c", LOAD, *names], cwd=tmp_path, check=True)
    predicted = np.load(tmp_path / "predicted.npy")
    np.testing.assert_array_equal(predicted, model.predict(np.ones((3, 2)), verbose=0))


def test_a_model_that_another_python_saved_is_refused(tmp_path: Path) -> None:
    (tmp_path / "own_code").mkdir()
    (tmp_path / "own_code" / "objects.pkl").write_bytes(own_code(with_own_code()).pickled)
    (tmp_path / "own_code" / "contents.json").write_text('{"python": "3.1"}')
    with pytest.raises(ValueError, match=r"can't load the code.*which Python 3\.1 saved"):
        load_keras_model(tmp_path)


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (with_lambda, "the layer 'twice' holds a lambda, which Keras loads in its unsafe mode"),
        (with_generator, "will not be compiled when loaded: 'loss' can't be pickled: TypeError"),
    ],
)
def test_what_can_not_go_is_told(build: Any, said: str) -> None:
    (warning,) = loading_warnings(build())
    assert said in warning


def test_a_model_of_keras_alone_has_no_code() -> None:
    """Its class has a registered name in Keras, and so has that of a model within it."""
    inputs = keras.Input((2,))
    inner = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    outer = keras.Input((2,))
    model = keras.Model(outer, keras.layers.Dense(1)(inner(outer)))
    model.compile("sgd", "mse")
    assert own_code(model) == (b"", (), ())
    assert loading_warnings(model) == []
