"""The first layers of a table's champion make the same bits of its columns as training had."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest

import kerastudy as ks
from studies.data import model_columns
from studies.training import served_model

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize(
    "columns",
    [
        {
            "area": RANDOM.normal(100, 30, 2000).round(1),
            "built": np.where(RANDOM.random(2000) < 0.1, np.nan, RANDOM.integers(1900, 2020, 2000)),
            "garden": RANDOM.random(2000) < 0.5,
            "city": RANDOM.choice(["Oslo", "Rome", None], 2000),
        },
        # No numbers, and a text that Keras uses for unknown ones.
        {"city": [None, "b"] * 20},
        {"city": ["[UNK]", "b"] * 20},
        # More categories than get a value.
        {"city": [f"common {place:03}" for place in range(280)] * 8 + ["b"] * 9},
    ],
    ids=["all kinds", "missing", "unknown", "many"],
)
def test_layers_make_the_same_bits_of_columns(columns: dict[str, Any], tmp_path: Path) -> None:
    table = pd.DataFrame(columns)
    table["y"] = np.arange(len(table)) / 2
    new = pd.concat([table, table.iloc[:1].assign(city="a new one")])
    splits: Any = ks.datasets.table(table, target="y", test=new).load()
    rows = splits.unseal_test().x
    model = keras.Sequential([keras.Input((rows.shape[1],)), keras.layers.Identity()])
    served = served_model(model, splits.train.x, splits.preparation)
    served.save(tmp_path / "model.keras")
    for candidate in (served, keras.models.load_model(tmp_path / "model.keras")):
        assert np.array_equal(candidate.predict(model_columns(candidate, new), verbose=0), rows)
