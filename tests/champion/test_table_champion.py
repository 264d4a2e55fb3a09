"""A study on a CSV file: its champion takes the columns of the table, also without kerastudy."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import train_test_split
from user_commands import kerastudy_here, run

import kerastudy as ks

HERE = ("--executor", "in-process")
STUDY = """
import keras
import kerastudy as ks

data = ks.datasets.table("the houses.csv", target="price", categories=["우편 번호=1"], seed=3)

def build(hp):
    model = keras.Sequential([
        keras.layers.Dense(hp.Choice("units", [3, 5]), activation="relu", name="hidden"),
        keras.layers.Dropout(0.2),
        keras.layers.Dense(1, name="price"),
    ])
    model.compile("adam", "mse")
    return model

study = ks.Study("houses", data=data, build=build, trials=2, epochs=2, seed=1,
                 initial=[{"units": 5}], try_defaults=True)
"""
LOADED = """
import json, sys
import keras, pandas as pd, tensorflow as tf
model = keras.models.load_model(sys.argv[1])
table = pd.read_csv(sys.argv[2], dtype={"우편 번호=1": str})
columns = {
    name: tf.constant(table[name].fillna("").to_numpy(str)) if tensor.dtype == "string"
    else table[name].to_numpy()
    for name, tensor in model.input.items()
}
assert "kerastudy" not in sys.modules
layers = {layer.name: [w.tolist() for w in layer.get_weights()] for layer in model.layers}
print(json.dumps({"made": model.predict(columns, verbose=0).ravel().tolist(), "layers": layers}))
"""


def made_houses(seed: int, rows: int = 120) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "area/m2": random.normal(100, 30, rows).round(1),
            "hidden": random.integers(1, 7, rows),
            "우편 번호=1": random.choice(["0150", "0151", "5003"], rows),
            "도시 (city)": random.choice(["Oslo", "Bergen", "Rome"], rows).astype(object),
            "garden": random.random(rows) < 0.5,
            "built": random.integers(1900, 2020, rows).astype(float),
        }
    )
    table["price"] = table["area/m2"] / 50 + table["garden"] + (table["도시 (city)"] == "Oslo")
    table.loc[random.random(rows) < 0.2, "built"] = np.nan
    table.loc[random.random(rows) < 0.2, "도시 (city)"] = None
    return table


@dataclass(frozen=True)
class Houses:
    folder: Path
    train: pd.DataFrame
    new: pd.DataFrame

    @property
    def store(self) -> Path:
        return self.folder / "kerastudy-store"


@pytest.fixture(scope="module")
def houses(tmp_path_factory: pytest.TempPathFactory) -> Houses:
    folder = tmp_path_factory.mktemp("a table")
    table, new = made_houses(0), made_houses(1, 30).drop(columns="price")
    # A city that the study does not have, and a missing number of a column that has none there.
    new.loc[3, "도시 (city)"], new.loc[4, "area/m2"] = "Ulan Bator", np.nan
    table.to_csv(folder / "the houses.csv", index=False)
    new.assign(extra="ignored").to_csv(folder / "new.csv", index=False)
    (folder / "study.py").write_text(STUDY, encoding="utf-8")
    kerastudy_here(folder, "launch", "study.py", *HERE, "--verify", "full", "-q")
    rest, _ = train_test_split(np.arange(120), train_size=96, test_size=24, random_state=3)
    chosen, _ = train_test_split(rest, train_size=72, test_size=24, random_state=3)
    return Houses(folder, table.iloc[chosen], new)


def test_the_champion_needs_only_keras_and_gives_what_is_computed_by_hand(houses: Houses) -> None:
    import mlflow.pyfunc

    (model,) = houses.store.glob("*/champion/**/model.keras")
    process = run(houses.folder, [sys.executable, "-P", "-c", LOADED, str(model), "new.csv"])
    assert "Skipping variable" not in process.stderr
    answer = json.loads(process.stdout.splitlines()[-1])
    predictions = np.array(answer["made"])
    weights = {name: list(map(np.array, arrays)) for name, arrays in answer["layers"].items()}
    np.testing.assert_allclose(predictions, by_hand(houses, weights), rtol=1e-4)
    study = ks.read_study("houses", store=houses.store)
    assert {trial.result.trainer for trial in study.trials} == {"compiled"}
    assert study.best is not None and study.best.verified == "model.fit, identical"
    # The command, the results and MLflow predict the same, from a file and from a frame.
    kerastudy_here(houses.folder, "predict", "houses", "--input", "new.csv", "--output", "p.csv")
    file_predictions = pd.read_csv(houses.folder / "p.csv")["price"]
    np.testing.assert_allclose(file_predictions, predictions, rtol=1e-5)
    np.testing.assert_allclose(study.predict(houses.new).ravel(), predictions, rtol=1e-5)
    (folder,) = {path.parent for path in houses.store.glob("*/champion/**/MLmodel")}
    served = mlflow.pyfunc.load_model(str(folder)).predict(houses.new)
    assert served.index.equals(houses.new.index)
    np.testing.assert_allclose(served.to_numpy().ravel(), predictions, rtol=1e-5)


def test_texts_for_missing_values_are_missing_in_files_of_both_kinds(tmp_path: Path) -> None:
    table = made_houses(2)
    table["built"] = table["built"].map(str).replace("nan", "?")
    table.to_parquet(tmp_path / "the houses.parquet")
    (tmp_path / "study.py").write_text(STUDY.replace("houses.csv", "houses.parquet"), "utf-8")
    kerastudy_here(tmp_path, "launch", "study.py", *HERE, "-q")
    new = table.drop(columns="price")
    new.to_parquet(tmp_path / "new.parquet")
    new.to_csv(tmp_path / "new.csv", index=False)
    new.assign(built=new["built"].replace("?", None)).to_csv(tmp_path / "empty.csv", index=False)
    predictions = []
    for name in ("new.parquet", "new.csv", "empty.csv"):
        kerastudy_here(
            tmp_path, "predict", "houses", "--input", name, "--output", "p.csv", "--force"
        )
        predictions.append((tmp_path / "p.csv").read_text(encoding="utf-8"))
    assert len(predictions[0].splitlines()) == 121 and len({*predictions}) == 1


def by_hand(houses: Houses, weights: dict[str, list[np.ndarray]]) -> np.ndarray:
    """Predicts with pandas and numpy, from the training rows and the trained weights."""
    train, new = houses.train, houses.new
    features = []
    for name in ("area/m2", "hidden"):
        values = train[name]
        features.append(((new[name] - values.mean()) / values.std(ddof=0)).fillna(0))
    features.append(new["garden"])
    built = train["built"]
    features.append(((new["built"] - built.mean()) / built.std(ddof=0)).fillna(0))
    features.append(new["built"].isna())
    features += [new["우편 번호=1"] == code for code in sorted(train["우편 번호=1"].unique())]
    cities = ["", *sorted(train["도시 (city)"].dropna().unique())]
    features += [new["도시 (city)"].fillna("") == city for city in cities]
    x = np.column_stack([np.asarray(column, float) for column in features])
    (kernel, bias), (last, offset) = weights["hidden"], weights["price"]
    return (np.maximum(x @ kernel + bias, 0) @ last + offset).ravel()


def test_a_new_category_is_said(houses: Houses) -> None:
    answer = kerastudy_here(houses.folder, "predict", "houses", "--input", "new.csv")
    assert "'Ulan Bator' in 도시 (city): not or rarely seen in training" in answer.stderr
    with pytest.warns(UserWarning, match=r"'Ulan Bator' in 도시 \(city\)"):
        ks.read_study("houses", store=houses.store).predict(houses.new)


def test_wrong_rows_and_files_are_refused_in_a_line(houses: Houses) -> None:
    folder, file = houses.folder, houses.folder / "the houses.csv"
    houses.new.drop(columns="hidden").to_csv(folder / "less.csv", index=False)
    houses.new.assign(hidden="-").to_csv(folder / "texts.csv", index=False)
    one = {name: column.iloc[0] for name, column in houses.new.items()}
    np.savez(folder / "one.npz", **one)
    predict, launch = ("predict", "houses", "--input"), ("launch", "digits", *HERE)
    before = file.read_text()
    for arguments, words in (
        ((*predict, "less.csv"), "lacks columns: 'hidden'"),
        ((*predict, "texts.csv"), "'hidden' holds '-', which is no number"),
        ((*predict, "one.npz"), "is no table"),
        ((*launch, "--target", "price"), "--target 'price' names the column to predict in a csv"),
        ((*launch, "--data", "new.csv"), "Name the column to predict"),
        (("launch", "study.py", *HERE, "--trials", "3"), "the houses.csv' has changed"),
    ):
        file.write_text(before.replace("True", "False", 1) if "study.py" in arguments else before)
        assert words in kerastudy_here(folder, *arguments, expect=2).last
    file.write_text(before)
    study = ks.read_study("houses", store=houses.store)
    with pytest.raises(ks.errors.DataError, match="lacks columns: 'built'"):
        study.predict(houses.new.drop(columns="built"))
    with pytest.raises(ks.errors.DataError, match="lacks columns: 'garden'"):
        study.predict({name: value for name, value in one.items() if name != "garden"})
    with pytest.raises(ks.errors.DataError, match="its columns have 1 and 2 rows"):
        study.predict({name: [value] * (1 + (name == "built")) for name, value in one.items()})
    assert np.array_equal(study.predict(one), study.predict(houses.new[:1]))
