"""A study of this process, sent to another one."""

from __future__ import annotations

import inspect
import linecache
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from user_commands import environment

import kerastudy as ks
from search_spaces import StudyError
from studies import Study
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


def test_an_array_that_is_in_a_file_is_not_copied(tmp_path: Path) -> None:
    folder = tmp_path / "sent"
    folder.mkdir()
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    data = ks.datasets.arrays(mapped, Y)
    study = there_and_back(make(lambda hp: None, data), folder)
    assert study.data.load().digest == ks.datasets.arrays(X, Y).load().digest
    assert [np.load(file).nbytes for file in folder.glob("*.npy")] == [Y.nbytes]


def test_what_was_loaded_of_the_data_stays_here(tmp_path: Path) -> None:
    data = ks.datasets.digits()
    data.load()
    there_and_back(make(lambda hp: None, data), tmp_path)
    assert not list(tmp_path.glob("*.npy"))


def test_what_cannot_be_sent_is_told(tmp_path: Path) -> None:
    lock = threading.Lock()
    with pytest.raises(StudyError, match=r"'sent' can't be sent .*'in-process'") as raised:
        ship(make(lambda hp: lock.locked()), NO_CODE, tmp_path)
    assert "lock" in str(raised.value)
    with pytest.raises(StudyError, match=r"within them\. Or don't\.$"):
        ship(make(lambda hp: lock.locked()), NO_CODE, tmp_path, "Or don't.")


def test_a_function_of_tensorflow_is_sent_after_it_was_called(tmp_path: Path) -> None:
    @tf.function(reduce_retracing=True)
    def doubled(x: Any) -> Any:
        return x * 2.0

    class Doubler:
        @tf.function
        def __call__(self, x: Any) -> Any:
            return doubled(x)

    doubler = Doubler()

    def build(hp: Any) -> Any:
        return doubler(tf.constant(3.0)), doubled

    assert float(build(None)[0]) == 6.0
    value, function = there_and_back(make(build), tmp_path).build(None)
    assert float(value) == 6.0 and type(function) is type(doubled)
    assert function is not doubled and float(function(tf.constant([1.0]))[0]) == 2.0


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
from studies.user_code.shipping import ShippedStudy, unpack
from tracking.records import CodeDescription

study = unpack(ShippedStudy(Path(sys.argv[1]), CodeDescription("", "", "", "")))
print(study.build(None), study.build.__code__.co_filename)
"""


def test_a_script_is_not_run_again_and_what_it_imports_is_found(tmp_path: Path) -> None:
    script = tmp_path / "repository" / "script.py"
    script.parent.mkdir()
    script.write_text(SCRIPT, encoding="utf-8")
    (script.parent / "beside.py").write_text("UNITS = 40\n")
    sent = tmp_path / "sent"
    sent.mkdir()
    run([str(script), str(sent)])
    script.write_text("raise AssertionError('run again')")
    assert run(["-c", RECEIVER, str(sent)]).split(maxsplit=1) == ["42", f"{script}\n"]
    (script.parent / "beside.py").unlink()
    told = run(["-c", RECEIVER, str(sent)], fails=True)
    assert "StudyError" in told and "No module named 'beside'" in told


def run(arguments: list[str], fails: bool = False) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], env=environment(), capture_output=True, text=True
    )
    assert (done.returncode != 0) is fails, done.stderr
    return done.stderr if fails else done.stdout
