"""Samples are read from files of any shape, and predictions are named by their loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest

from search_spaces import DataError
from studies import as_csv
from studies.results import Input, Inputs, predictions_table, read_inputs


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


def test_columns_without_numbers_are_refused(tmp_path: Path) -> None:
    inputs = Inputs((), (Input("", np.dtype("float32"), (2,)),))
    file, numbers = tmp_path / "x.parquet", [1.5, 2.5]
    for others in (["a", "b"], pd.to_timedelta([1, 2], unit="s"), pd.to_datetime(["2026"] * 2)):
        pd.DataFrame({"size": numbers, "age": others}).to_parquet(file)
        with pytest.raises(DataError, match="has texts in the columns age"):
            read_inputs(file, inputs)
    for values in (pd.array([1, 2], dtype="Int64"), [True, False]):
        pd.DataFrame({"size": numbers, "age": values}).to_parquet(file)
        assert read_inputs(file, inputs)[0][""].tolist() == [[1.5, 1.0], [2.5, values[1]]]


def test_a_last_axis_of_size_1_may_be_missing(tmp_path: Path) -> None:
    inputs = Inputs((), (Input("", np.dtype("float32"), (4, 3, 1)),))
    file, images = tmp_path / "x.npy", np.arange(24).reshape(2, 4, 3)
    np.save(file, images)
    assert np.array_equal(read_inputs(file, inputs)[0][""], images[..., None])
    for samples, told in (
        (images[0, ..., None], r"of shape \(3, 1\): it is one sample, not an array of samples"),
        (images[:, :3], r"of shape \(3, 3\). The model takes float32 of shape \(4, 3, 1\)"),
    ):
        np.save(file, samples)
        with pytest.raises(DataError, match=told):
            read_inputs(file, inputs)


def test_several_inputs_and_texts(tmp_path: Path) -> None:
    several = Inputs(
        (), (Input("words", np.dtype(str), ()), Input("numbers", np.dtype("float32"), (2,)))
    )
    file, words, numbers = tmp_path / "several.npz", np.array(["=a", "b"]), np.ones((2, 2))
    np.savez(file, words=words, numbers=numbers, more=words)
    arrays, _ = read_inputs(file, several)
    assert arrays["words"].tolist() == ["=a", "b"] and arrays["numbers"].shape == (2, 2)
    for content, told in (
        ({"words": words}, r"lacks 'numbers'. The model takes words: texts of shape"),
        ({"words": words[:1], "numbers": numbers}, r"arrays of \[1, 2\] samples"),
    ):
        np.savez(file, **content)
        with pytest.raises(DataError, match=told):
            read_inputs(file, several)
    np.save(tmp_path / "x.npy", numbers)
    with pytest.raises(DataError, match="has one array: give an npz file"):
        read_inputs(tmp_path / "x.npy", several)


def test_predictions_by_their_loss() -> None:
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
    named = compiled(logits)
    named.compile("sgd", loss={named.layers[-1].name: logits})
    by_name = predictions_table(named, made, ["no", "-yes"], probabilities=True)
    assert by_name["class"].tolist() == ["no", "-yes"]
    for loss in ("bce", "BinaryCrossentropy", keras.losses.binary_crossentropy):
        spelled = predictions_table(
            compiled(loss), np.array([[0.2], [0.9]]), (), probabilities=False
        )
        assert spelled["class"].tolist() == ["0", "1"]
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
