"""Samples in files are predicted by the registered model, as by Keras and by a server."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import ProxyHandler, Request, build_opener

import numpy as np
import pandas as pd
import pytest
import uvicorn
from in_mlflow import InMlflow
from kinds_study import Kinds
from mlflow_server import free_port
from stores import history_at
from user_commands import as_json, environment

import kerastudy as ks
from search_spaces import DataError
from studies import as_csv
from studies.champion import Input, Inputs, predictions_table, read_inputs

ROWS = pd.DataFrame({"size": [3.3e4, 2.6e4, 3.0e4], "age": [80, 3, 40]})


@contextlib.contextmanager
def served(kinds: Kinds) -> Any:
    """`mlflow models serve` on this machine alone; yields a function that asks it."""
    port = free_port()
    # MLflow starts uvicorn by its name, as in an environment that is activated.
    scripts = Path(uvicorn.__file__).parents[4] / "bin"
    log = (kinds.folder / "serve.log").open("ab")
    process = subprocess.Popen(
        [
            *(sys.executable, "-P", "-m", "mlflow", "models", "serve"),
            *("-m", "models:/kinds@champion", "--env-manager", "local"),
            *("--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        ],
        cwd=kinds.folder,
        env=environment(
            MLFLOW_TRACKING_URI=f"sqlite:///{(kinds.store / 'mlflow.db').as_posix()}",
            MLFLOW_DISABLE_TELEMETRY="true",
            PATH=os.pathsep.join([str(scripts), os.environ["PATH"]]),
        ),
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    opener, address = build_opener(ProxyHandler({})), f"http://127.0.0.1:{port}"

    def ask(document: Any) -> Any:
        body, kind = json.dumps(document).encode(), {"Content-Type": "application/json"}
        with opener.open(Request(f"{address}/invocations", body, kind), timeout=60) as answer:
            return json.loads(answer.read())["predictions"]

    try:
        deadline = time.monotonic() + 180
        while True:
            assert process.poll() is None and time.monotonic() < deadline, (
                kinds.folder / "serve.log"
            ).read_text()
            try:
                with opener.open(f"{address}/ping", timeout=1):
                    break
            except (URLError, OSError):
                time.sleep(0.1)
        yield ask
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        log.close()


def odds_of(kinds: Kinds) -> np.ndarray:
    """The probabilities of both classes for `ROWS`, by Keras alone."""
    model = ks.load_model("kinds", store=kinds.store)
    odds: np.ndarray = model.predict(ROWS.to_numpy(), verbose=0)
    return odds


@pytest.mark.exhaustive
def test_a_server_predicts_what_keras_does(kinds: Kinds) -> None:
    InMlflow(history_at(kinds.store, "kinds"))
    with served(kinds) as ask:
        answered = ask({"dataframe_split": ROWS.to_dict("split", index=False)})
    assert np.allclose([list(each.values()) for each in answered], odds_of(kinds), rtol=1e-5)


def test_a_table_is_predicted_as_by_keras(kinds: Kinds) -> None:
    odds = odds_of(kinds)
    names = np.array(["=large", "small"])[odds.argmax(axis=1)]

    # Another order, and a column more.
    ROWS[["age", "size"]].assign(note="=1+1").to_csv(kinds.folder / "new.csv", index=False)
    printed = kinds.run("predict", "kinds", "--input", "new.csv", "--probabilities").stdout
    lines = [line.split(",") for line in printed.splitlines()]
    assert lines[0] == ["class", "probability_=large", "probability_small"]
    escaped = [f"'{name}" if name == "=large" else name for name in names]
    assert [line[0] for line in lines[1:]] == escaped
    assert np.allclose(np.array([line[1:] for line in lines[1:]], float), odds, rtol=1e-5)

    found = as_json(kinds.run("predict", "kinds", "--input", "new.csv", "--json"))
    assert [row["class"] for row in found["predictions"]] == names.tolist()
    frame = ks.predict("kinds", kinds.folder / "new.csv", store=kinds.store)
    assert frame["class"].tolist() == names.tolist()

    # Other files in, other files out.
    ROWS.to_parquet(kinds.folder / "new.parquet")
    np.savez(kinds.folder / "new.npz", x=ROWS.to_numpy())
    np.save(kinds.folder / "new.npy", ROWS.to_numpy())
    for kind, out in (("parquet", "out.npz"), ("npz", "out.parquet"), ("npy", "out.csv")):
        more = ("--output", out, "--probabilities")
        told = kinds.run("predict", "kinds", "--input", f"new.{kind}", *more)
        assert told.stdout == f"3 predictions in '{out}'\n"
    with np.load(kinds.folder / "out.npz", allow_pickle=False) as written:
        assert written["class"].tolist() == names.tolist()
        assert np.allclose(written["probability_small"], odds[:, 1], rtol=1e-5)
    parquet = pd.read_parquet(kinds.folder / "out.parquet")
    csv = pd.read_csv(kinds.folder / "out.csv")
    for table in (parquet, csv):
        assert np.allclose(table["probability_small"], odds[:, 1], rtol=1e-5)
    assert parquet["class"].tolist() == names.tolist() and csv["class"].tolist() == escaped


def test_what_does_not_suit_the_model_is_refused_in_a_line(kinds: Kinds) -> None:
    folder = kinds.folder
    (folder / "few.csv").write_text("size,height\n1,2\n")
    (folder / "texts.csv").write_text("size,age\n1,old\n")
    (folder / "gaps.csv").write_text("size,age\n1,\n")
    np.save(folder / "wide.npy", np.zeros((2, 3)))
    np.save(folder / "one.npy", np.zeros(2))
    np.save(folder / "pickled.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    (folder / "cut.npz").write_bytes(b"PK\x03\x04 no archive")
    (folder / "some.txt").write_text("1")
    for name, told in (
        ("few.csv", "lacks the columns 'age'. The model takes the columns size and age."),
        ("texts.csv", "has texts in the columns age"),
        ("gaps.csv", "has empty cells"),
        ("wide.npy", "has samples of shape (3,). The model takes the columns size and age."),
        ("one.npy", "it is one sample, not a row of samples; save x[None]"),
        ("pickled.npy", "allow_pickle"),
        ("cut.npz", "can't be read"),
        ("some.txt", "is no npz, npy, csv or parquet file"),
        ("missing.csv", "There is no file"),
        (".", "is no npz, npy, csv or parquet file"),
    ):
        failed = kinds.run("predict", "kinds", "--input", name, expect=2)
        assert told in failed.stderr and failed.stderr.count("\n") == 1, failed.stderr
    failed = kinds.run("predict", "kinds", "--input", "x.csv", "--output", "x.xls", expect=2)
    assert ".csv, .parquet or .npz" in failed.stderr
    failed = kinds.run("predict", "kinds", "--input", "x.csv", "--output", "no/x.csv", expect=2)
    assert "There is no folder 'no'" in failed.stderr


def test_every_line_of_numbers_is_a_sample(tmp_path: Path) -> None:
    inputs = Inputs((), (Input("", np.dtype("float32"), (4,)),))
    file, rows = tmp_path / "x.csv", np.array([[0, 0.5, 0, 0], [1, 2, 3, 4]])
    # Without a first line of names; with pandas's own; with others.
    for header in (False, True, ["a", "b", "c", "d"]):
        pd.DataFrame(rows).to_csv(file, header=header, index=False)
        assert np.array_equal(read_inputs(file, inputs)[0][""], rows)
    # Names that are numbers.
    named = Inputs(("7", "9"), (Input("", np.dtype("float32"), (2,)),))
    pd.DataFrame(rows[:, :2], columns=["9", "7"]).to_csv(file, index=False)
    assert np.array_equal(read_inputs(file, named)[0][""], rows[:, 1::-1])


def test_one_array_is_not_several(tmp_path: Path) -> None:
    several = Inputs((), tuple(Input(name, np.dtype("float32"), (2,)) for name in ("a", "b")))
    np.save(tmp_path / "x.npy", np.zeros((3, 2)))
    with pytest.raises(DataError, match="has one array: give an npz file"):
        read_inputs(tmp_path / "x.npy", several)


def test_samples_without_numbers_are_noted(kinds: Kinds) -> None:
    np.save(kinds.folder / "gaps.npy", np.array([[1, np.nan], [3e4, 2], [np.inf, 2]]))
    done = kinds.run("predict", "kinds", "--input", "gaps.npy", "--output", "-")
    assert len(done.stdout.splitlines()) == 4
    assert "2 of 3 samples have values that are NaN or infinite" in done.stderr


def test_several_inputs_and_texts(tmp_path: Path) -> None:
    several = Inputs(
        (), (Input("words", np.dtype(str), ()), Input("numbers", np.dtype("float32"), (2,)))
    )
    file = tmp_path / "several.npz"
    words, numbers = np.array(["=a", "b"]), np.ones((2, 2))
    np.savez(file, words=words, numbers=numbers, more=words)
    arrays, _ = read_inputs(file, several)
    assert arrays["words"].tolist() == ["=a", "b"] and arrays["numbers"].shape == (2, 2)
    np.savez(file, words=words)
    with pytest.raises(DataError, match=r"lacks 'numbers'. The model takes words: texts of shape"):
        read_inputs(file, several)
    np.savez(file, words=words[:1], numbers=numbers)
    with pytest.raises(DataError, match=r"arrays of \[1, 2\] samples"):
        read_inputs(file, several)


def test_predictions_by_their_loss() -> None:
    import keras

    def compiled(loss: Any, units: int = 1) -> Any:
        model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(units)])
        model.compile("sgd", loss=loss)
        return model

    logits = keras.losses.BinaryCrossentropy(from_logits=True)
    made = np.array([[-2.0], [3.0]], "float32")
    found = predictions_table(compiled(logits), made, ["no", "-yes"], probabilities=True)
    assert found["class"].tolist() == ["no", "-yes"]
    assert np.allclose(found["probability_-yes"], 1 / (1 + np.exp([2.0, -3.0])))
    assert "'-yes" in as_csv(pd.DataFrame(found)) and "'-2" not in as_csv(pd.DataFrame({"a": [-2]}))
    regression = predictions_table(compiled("mse"), made, (), probabilities=True)
    assert regression["prediction"].tolist() == [-2, 3]
    classes = predictions_table(
        compiled("sparse_categorical_crossentropy", 3), np.eye(3)[[2, 0]], (), probabilities=False
    )
    assert classes["class"].tolist() == ["2", "0"]
    several = predictions_table(
        compiled({"a": "mse", "b": "binary_crossentropy"}),
        {"a": made, "b": np.array([[0.2], [0.9]])},
        {"b": ["x", "y"]},
        probabilities=False,
    )
    assert several["a prediction"].tolist() == [-2, 3] and several["b class"].tolist() == ["x", "y"]
