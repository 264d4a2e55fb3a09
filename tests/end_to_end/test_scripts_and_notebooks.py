"""`study.launch(executor="worker")` where there is no file to load, or none to be run again."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import nbclient
import nbformat
import pytest
from conformance.executor import STUDY_FILE
from exported import rows
from stores import history_at
from user_commands import as_json, environment, kerastudy, kerastudy_here, run


# How such files are loaded is in `test_self_launching`.
@pytest.mark.exhaustive
def test_a_script_without_a_main_guard_launches_several_studies(tmp_path: Path) -> None:
    """In workers, which don't run it, and in its own process; reproducing one launches nothing."""
    start = STUDY_FILE.index("study = ks.Study(")
    study = STUDY_FILE[start:].replace("trials=4", "trials=2")
    second = study.replace("study = ", "other = ").replace("작은 연구", "another one")
    script = (
        STUDY_FILE[:start]
        + "print('the script runs')\n"
        + study
        + "history = study.launch(executor='worker', verify='off')\n"
        + "print(f'{history.best.best.value:.2f}', history.counts()['complete'])\n"
        + second
        + "print(other.launch(epochs=2, verify='off').counts()['complete'])\n"
    )
    (tmp_path / "script.py").write_text(script, encoding="utf-8")
    done = run(tmp_path, [sys.executable, "script.py"])
    assert "the script runs" not in done.stderr
    runs, first, other = done.stdout.splitlines()
    assert (runs, first.split()[1], other) == ("the script runs", "2", "2")
    again = as_json(kerastudy(tmp_path, "reproduce", "another one", "--json"))
    assert (again["identical"], again["epochs"]) == (True, 2)


CELLS = [
    """
    import keras
    import numpy as np
    import tensorflow as tf
    import kerastudy as ks

    x = np.random.default_rng(0).normal(size=(3000, 6)).astype("float32")
    y = (x.sum(axis=1) > 0).astype("int64")
    """,
    """
    @tf.function
    def larger(x):
        # TensorFlow reads this text, to make a graph of the branch.
        if tf.reduce_sum(x) > 0:
            scaled = x * 2.0
        else:
            scaled = x * 3.0
        return scaled


    class Larger(keras.layers.Layer):
        def call(self, x):
            return larger(x)
    """,
    """
    def build(hp):
        layers = [keras.layers.Input((6,)), Larger(), keras.layers.Dense(2, "softmax")]
        model = keras.Sequential(layers)
        optimizer = keras.optimizers.Adam(hp["learning_rate"])
        model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model
    """,
    """
    study = ks.Study("from a notebook", data=ks.datasets.arrays(x, y), build=build,
                     space=ks.SearchSpace(ks.learning_rate()), objective="val_accuracy",
                     trials=1, epochs=2)
    history = study.launch(executor="worker", verify="off")
    print(history.counts()["complete"])
    """,
]
REPRODUCED = "print(study.reproduce(progress=False).identical)"


def cell(text: str) -> str:
    return textwrap.dedent(text).strip() + "\n"


@pytest.mark.exhaustive
def test_a_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Builder, layer and arrays are the notebook's own, and go to its worker."""
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    cells = [nbformat.v4.new_code_cell(cell(text)) for text in [*CELLS, REPRODUCED]]
    notebook = nbformat.v4.new_notebook(cells=cells)
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=300, resources=resources).execute()
    printed = [
        "".join(o["text"] for o in each["outputs"] if o.get("name") == "stdout")
        for each in notebook.cells
    ]
    assert printed[-2:] == ["1\n", "True\n"]
    history = history_at(tmp_path / "kerastudy-store", "from a notebook")
    code = history.description.code
    assert code.path == ""
    texts = rows(history.folder, f"SELECT content FROM code WHERE digest = '{code.digest}'")
    assert [each["content"].strip() for each in texts] == [cell(CELLS[2]).strip()]
    told = kerastudy_here(tmp_path, "reproduce", "from a notebook", expect=2).stderr
    assert "study.reproduce(" in told
