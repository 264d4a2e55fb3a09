"""The code of a study, which other processes get, and its modules, even if named like ours."""

import inspect
import linecache
import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from doctored import Said, launch
from user_commands import Answer, run

import kerastudy as ks
from studies import Study
from studies.training import load_keras_model, loading_warnings, own_code
from studies.user_code import (
    commit_of,
    describe_code,
    import_texts,
    load_study,
    own_modules,
    place_of,
    read_text,
    resolve_target,
    ship,
    unpack,
)
from tracking.history import read_code
from tracking.records import CodeDescription
from tracking.study_summary import summary_of

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
    # A builder may change the objects that it uses. Such changes stay in its process.
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
import tensorflow as tf
assert tf.config.list_physical_devices("CPU") and tf.constant(1) + 1 == 2
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
    answer = run(tmp_path, [sys.executable, "-c", RECEIVER, str(sent)])
    assert answer.stdout.split(maxsplit=1) == ["42", f"{script}\n"]
    # TensorFlow prints nothing in a process that has imported kerastudy.
    assert answer.stderr == ""


# The code of a model's own layers and losses goes with the registered model.

FACTOR = 3.0
ADDENDS = {"first": 1.0, "second": 2.0}


def doubled(x: Any) -> Any:
    # The function uses numpy, whose generators are not the model's code.
    return x * FACTOR + np.add(ADDENDS["first"], ADDENDS["second"])


def weighted(weight: float) -> Any:
    def loss(y_true: Any, y_pred: Any) -> Any:
        return keras.ops.mean(y_true - y_pred) * weight

    return loss


def with_lambda() -> keras.Model:
    return compiled([keras.layers.Lambda(lambda x: x * 2, name="twice")], "mse")


def with_generator() -> keras.Model:
    weights = (number for number in (2.0,))
    return compiled([], weighted(weights))  # type: ignore[arg-type]


def with_traced_function() -> keras.Model:
    import tensorflow as tf

    twice = tf.function(lambda x: 2 * x)
    twice(keras.ops.ones(1))

    class Twice(keras.layers.Layer):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            return twice(x)

    return compiled([Twice()], "mse")


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


def test_a_champion_with_a_lambda_is_told_when_it_is_registered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    x, y = np.zeros((9, 2), "float32"), np.linspace(0, 1, 9)

    def objective(trial: Any) -> float:
        model = with_lambda()
        rate = trial.suggest_float("rate", 0.0, 1.0)
        fitted = model.fit(x, y, validation_data=(x, y), verbose=0)
        return float(fitted.history["val_loss"][-1]) + rate

    study = Study("lambda", objective_function=objective, direction="minimize", trials=1)
    results = study.launch(store=tmp_path / "store", report=False)
    why = "the layer 'twice' holds a lambda, which Keras loads in its unsafe mode only. Use funct"
    told = " ".join(capsys.readouterr().err.split())
    assert told.count(f"warning: the champion can't be loaded, so it can't predict: {why}") == 1
    with pytest.raises(ks.errors.StudyError, match=why):
        results.load_model()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (with_lambda, "the layer 'twice' holds a lambda, which Keras loads in its unsafe mode"),
        (with_traced_function, "Use functions and classes of the top level of a file, without @tf"),
        (with_generator, "will not be compiled when loaded: 'loss' can't be pickled: TypeError"),
    ],
)
def test_what_can_not_go_is_told(build: Any, message: str) -> None:
    (warning,) = loading_warnings(build())
    assert message in warning


def test_a_model_of_keras_alone_has_no_code() -> None:
    """Its class and that of a model within it have registered names in Keras."""
    inputs = keras.Input((2,))
    inner = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    outer = keras.Input((2,))
    model = keras.Model(outer, keras.layers.Dense(1)(inner(outer)))
    model.compile("sgd", "mse")
    assert own_code(model) == (b"", (), ())
    assert loading_warnings(model) == []


# A study's own modules are part of its code, also where they are named like ours.


@pytest.fixture(autouse=True)
def imports(tmp_path: Path) -> Iterator[None]:
    """Modules that a test imports are forgotten after the test."""
    yield
    sys.path[:] = [entry for entry in sys.path if not entry.startswith(str(tmp_path))]
    ours = import_texts.__module__
    sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__module__ != ours]
    for name, module in list(sys.modules.items()):
        # A module that makes attributes on demand has any attribute, even a number.
        own = getattr(module, "__dict__", {})
        places = [own.get("__file__"), *own.get("__path__", ())]
        if any(str(place).startswith(str(tmp_path)) for place in places):
            del sys.modules[name]


def write(root: Path, **texts: str) -> None:
    for name, text in texts.items():
        place = name.replace("__", "/").replace("//init/", "/__init__")
        file = root / f"{place}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


def modules_of(root: Path, source: str) -> list[str]:
    return list(own_modules(root / "study.py", source))


def test_imports_of_imports_are_found_wherever_they_stand(tmp_path: Path) -> None:
    """The imports are in functions, branches and packages, and relative. None of them has run."""
    write(tmp_path, first="def f():\n    from pack import part\n", second="import first")
    write(tmp_path, pack__part="from . import other\nfrom .deep.down import x\n", pack__other="")
    write(tmp_path, pack__deep__down="import json, keras, numpy.linalg as l\n", unused="")
    write(tmp_path, pack____init__="")
    source = "import second\nif False:\n    import nowhere.at_all\nfrom first import f\n"
    package = [f"pack/{name}.py" for name in ("__init__", "deep/down", "other", "part")]
    assert modules_of(tmp_path, source) == ["first.py", *package, "second.py"]
    second = place_of(tmp_path / "study.py", "second.py")
    assert read_text(second) == "import first"


def test_only_what_is_not_installed_counts(tmp_path: Path) -> None:
    """The study's folder may itself be among installed packages."""
    home = tmp_path / "site-packages" / "mine"
    write(home, helper="", env__installed="", lib__x="")
    (home / "env" / "pyvenv.cfg").write_text("")
    sys.path.append(str(home / "env"))
    sys.path.append(str(tmp_path / "elsewhere"))
    write(tmp_path / "elsewhere", other="")
    source = "import helper, installed, lib.x, other, json, numpy, kerastudy, studies.study"
    assert modules_of(home, source) == ["helper.py", "lib/x.py"]
    # Python itself may be installed below a home that is a repository.
    assert own_modules(Path(sysconfig.get_path("stdlib")).parent / "mine.py", "import json") == {}


def test_the_repository_counts_and_links_are_followed(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    write(repository, tuning__study="", models__net="")
    (repository / ".git").mkdir()
    (tmp_path / "links").mkdir()
    through = tmp_path / "links" / "link.py"
    through.symlink_to(repository / "tuning" / "study.py")
    sys.path.append(str(repository))
    for study in (repository / "tuning" / "study.py", through):
        assert list(own_modules(study, "import models.net")) == ["../models/net.py"]
        assert place_of(study, "../models/net.py").samefile(repository / "models" / "net.py")


def test_a_study_behind_a_link_finds_the_modules_beside_its_file(tmp_path: Path) -> None:
    text = (
        "import kerastudy as ks\nimport beside\ndef build(hp): return beside\n"
        "study = ks.Study('sent', data=ks.datasets.digits(), build=build)\n"
    )
    write(tmp_path / "real", beside="UNITS = 3\n", study=text)
    link = tmp_path / "link.py"
    link.symlink_to("real/study.py")
    study, loaded = load_study(resolve_target(str(link)))
    assert study.build(None).UNITS == 3
    # As by `python link.py`, which gives the functions the name of the link.
    session: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(text, str(link), "exec"), session)
    for code in (loaded, describe_code(session["study"], "sent")):
        assert code.path == str(tmp_path.resolve() / "real" / "study.py")
        assert dict(code.texts) == {"beside.py": "UNITS = 3\n"}


def test_what_has_changed_is_named() -> None:
    def code(source: str, path: str = "/here/study.py", **texts: str) -> CodeDescription:
        return CodeDescription.of(path, "", source, texts, study_name="mine", folder="/here")

    now = code("a", x="1", y="2")
    assert now.changes_since(now) == []
    changes = now.changes_since(code("b", x="0", z="2"))
    assert changes == ["study.py", "x", "y (not imported before)", "z (no longer imported)"]
    # A notebook may import modules that the study does not use.
    assert code("a", "", x="1", y="2").changes_since(code("a", "", x="0", z="2")) == ["x"]


def names_of(code: str) -> dict[str, Any]:
    """Returns the names that code defines."""
    names: dict[str, Any] = {}
    exec(code, names)
    return names


def test_a_recorded_text_runs_in_place_of_what_is_there(tmp_path: Path) -> None:
    """This holds for packages and missing files too. Modules without a text run as they are."""
    write(tmp_path, changed="X = 'now'", same="X = 'now'")
    write(tmp_path, pack____init__="", pack__inner="X = 'now'")
    sys.path.append(str(tmp_path))
    names = ("changed.py", "pack/inner.py", "gone.py", "away/deep/inner.py")
    for name in names:
        import_texts({str(tmp_path / name): "X = 'then'\ndef f(): return X"})
    imported = "changed, gone, pack.inner, away.deep.inner, same"
    modules = names_of(f"import {imported}\nfound = {imported}")["found"]
    assert [module.X for module in modules] == [*["then"] * 4, "now"]
    texts = own_modules(tmp_path / "study.py", "import changed", texts={names[0]: "?"})
    assert texts == {"changed.py": "X = 'now'"}


def test_a_text_has_the_characters_of_its_file_whatever_its_encoding(tmp_path: Path) -> None:
    file = tmp_path / "in_latin_1.py"
    file.write_bytes("# -*- coding: latin-1 -*-\nX = 'd\xe9j\xe0'\n".encode("latin-1"))
    sys.path.append(str(tmp_path))
    text = read_text(file)
    import_texts({str(file): text})
    assert names_of("from in_latin_1 import X")["X"] == "d\xe9j\xe0"


def test_a_text_reads_the_files_of_its_package(tmp_path: Path) -> None:
    write(tmp_path, reading____init__="")
    (tmp_path / "reading" / "words.txt").write_text("one two")
    sys.path.append(str(tmp_path))
    read = """
from importlib.resources import files
from pkgutil import get_data
words = files(__package__).joinpath("words.txt").read_text(), get_data(__package__, "words.txt")
"""
    import_texts({str(tmp_path / "reading" / "__init__.py"): read})
    assert names_of("from reading import words")["words"] == ("one two", b"one two")


def test_a_launch_tells_which_module_has_changed_and_keeps_both_texts(tmp_path: Path) -> None:
    progress = Said()
    for trials, text in ((1, "X = 1"), (2, "X = 2")):
        assert "has changed" not in "\n".join(progress.lines)
        texts = {"helper.py": text}
        code = CodeDescription.of("/gone/study.py", "", "s", texts, study_name="", folder="")
        history = launch(tmp_path, progress, trials=trials, code=code)
    message = "the study's code has changed since it was last launched (helper.py);"
    assert message in "\n".join(progress.lines)
    (changed,) = [fact.text for fact in summary_of(history).facts if fact.name == "code"]
    assert changed.startswith("1 trial ran before")
    recorded = [read_code(history, trial.code_digest) for trial in history.trials]
    assert [code.texts for code in recorded] == [{"helper.py": "X = 1"}, {"helper.py": "X = 2"}]


def test_the_commit(tmp_path: Path) -> None:
    code = CodeDescription.of(str(tmp_path / "study.py"), "", "x", {}, study_name="", folder="")
    assert commit_of(code) == "" or os.environ.get("GIT_DIR")
    who = ("-c", "user.name=me", "-c", "user.email=me@localhost")
    for words in (("init",), ("commit", "--allow-empty", "-m", "Begin")):
        subprocess.run(["git", "-C", str(tmp_path), *who, *words], check=True, capture_output=True)
    assert len(commit_of(code)) == 40


# A user's repository with packages that have the names of ours.
REPOSITORY = {
    # `__init__` defines names. A function is called like its module. An import is circular.
    "studies/__init__.py": """
from .scale import scale
from . import helpers
from studies.helpers import UNITS
MY = 1
""",
    "studies/scale.py": "def scale(x):\n    return 2 * x\n",
    "studies/helpers.py": "from studies import scale\nUNITS = scale(8)\n",
    # These packages and modules have the names of ours, where ours are packages or modules.
    "studies/data/__init__.py": "from .rows import load_rows\n",
    "studies/data/rows.py": "from studies import MY\ndef load_rows():\n    return MY\n",
    "studies/training.py": "RATE = 0.5\n",
    "studies/progress/__init__.py": "from .inner import SPEED\n",
    "studies/progress/inner.py": "SPEED = 3\n",
    "studies/deep/__init__.py": "",
    "studies/deep/deeper.py": "from .. import MY\nfrom ..data import load_rows\n",
    "studies/late.py": "raise AssertionError('nothing is built by loading')\n",
    "tracking/__init__.py": "class Tracker:\n    pass\n",
    "search_spaces/__init__.py": "raise ImportError('nothing imports it')\n",
    "use.py": """
from studies import MY, UNITS, scale, helpers, training
from studies.data import load_rows
from studies.data.rows import load_rows as same
from studies.training import RATE
from studies.progress import SPEED
from studies.progress.inner import SPEED as also
from studies.deep.deeper import MY as deep
from tracking import Tracker
import studies.helpers
import studies.deep.deeper
assert (MY, UNITS, scale(3), deep, studies.MY) == (1, 16, 6, 1, 1)
assert load_rows() == same() == 1 and training.RATE == RATE == 0.5 and SPEED == also == 3
assert studies.helpers is helpers and helpers.UNITS == 16 and studies.deep.deeper.MY == 1
""",
    # A file within such a package, with relative imports.
    "studies/mine.py": """
import kerastudy as ks
from . import MY, helpers
from .data import load_rows
import use

def build(hp):
    from studies import late

study = ks.Study(f"mine {MY + load_rows()}", data=ks.datasets.digits(), build=build)
""",
}
CHECK = """
import pickle, sys
from pathlib import Path
import kerastudy as ks
import use
import studies.progress, studies.data, studies.study, tracking.store.store_folder_and_json
from studies.user_code import load_study, own_modules, resolve_target

study, code = load_study(resolve_target(sys.argv[1]))
assert study.name == "mine 2" and isinstance(study, ks.Study), study
# Ours are ours.
assert studies.study.Study is ks.Study and studies.progress.make_progress and tracking.Objective
# By the names that they have without us.
for thing in (use.scale, use.load_rows, use.Tracker):
    assert pickle.loads(pickle.dumps(thing)) is thing
# The code of the study is theirs, with what no function has imported yet.
modules = own_modules(Path(sys.argv[1]).absolute(), code.source, "studies")
assert set(modules) == {
    "../use.py", "__init__.py", "scale.py", "helpers.py", "data/__init__.py", "data/rows.py",
    "training.py", "progress/__init__.py", "progress/inner.py",
    "deep/__init__.py", "deep/deeper.py",
    "late.py", "../tracking/__init__.py",
}, sorted(modules)
assert "tensorflow" not in sys.modules
"""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("a repository")
    (root / ".git").mkdir()
    write(root, **{name.removesuffix(".py"): text for name, text in REPOSITORY.items()})
    return root


def run_script(code: str, repository: Path) -> Answer:
    """Runs code as a script in the repository."""
    (repository / "script.py").write_text(code, encoding="utf-8")
    return run(repository, [sys.executable, "script.py", "studies/mine.py"], expect=None)


BEFORE = {
    "after ours": "",
    # Our modules take the names over, and theirs do not run twice.
    "before ours": "import use\n",
    # Notebooks do this. Our package comes first.
    "later": "import sys; here = sys.path.pop(0)\nimport kerastudy\nsys.path.append(here)\n",
}


@pytest.mark.parametrize("before", BEFORE.values(), ids=BEFORE)
def test_both_are_found(repository: Path, before: str) -> None:
    answer = run_script(before + CHECK, repository)
    assert (answer.returncode, answer.stderr) == (0, "")


def test_a_name_that_both_define_is_ours_and_an_error_in_theirs_is_theirs(repository: Path) -> None:
    file = repository / "studies" / "interruption.py"
    file.write_text("import math\nX = 1\ndef raising_interrupts(): ...\n", encoding="utf-8")
    code = (
        "import kerastudy\nfrom studies.interruption import X, raising_interrupts\n"
        "assert raising_interrupts.__doc__\nfrom search_spaces import SPACE\n"
    )
    error = run_script(code, repository).stderr
    file.unlink()
    assert "both define raising_interrupts:" in error
    assert "ImportError: nothing imports it" in error
