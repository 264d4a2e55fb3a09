"""A rare class, trained with class weights: its probabilities are corrected, and said to be."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from in_mlflow import InMlflow, wait_for_exporters
from sklearn.metrics import brier_score_loss
from user_commands import as_json, kerastudy_here

import kerastudy as ks

STUDY = """
import keras
import kerastudy as ks

def build(hp):
    model = keras.Sequential([keras.layers.Dense(1, activation="sigmoid")])
    model.compile(keras.optimizers.Adam(hp.Choice("rate", [0.1])), "binary_crossentropy")
    return model

study = ks.Study(
    "visits",
    data=ks.datasets.table("visits.csv", target="readmitted", test="new.csv"),
    build=build,
    class_weight=lambda hp: "balanced",
    trials=1,
    epochs=30,
    batch_size=512,
)
"""


def made_visits(rows: int, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Returns visits, of which 6 % end in a readmission, and the probabilities of that."""
    random = np.random.default_rng(seed)
    age, stay = random.normal(60, 12, rows), random.gamma(2, 3, rows)
    odds = 1 / (1 + np.exp(4.0 - (age - 60) / 12 - stay / 8))
    table = {
        "visit_id": [f"{number:06}" for number in random.permutation(rows)],
        "age": age,
        "stay": stay,
        "readmitted": np.where(random.random(rows) < odds, "Y", "N"),
    }
    return pd.DataFrame(table), odds


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weighted")
    (folder / "study.py").write_text(STUDY, encoding="utf-8")
    made_visits(4000, 0)[0].to_csv(folder / "visits.csv", index=False)
    made_visits(3000, 1)[0].to_csv(folder / "new.csv", index=False)
    kerastudy_here(folder, "launch", "study.py", "--executor", "in-process", "--verify", "off")
    return folder


def test_probabilities_are_those_of_the_class(folder: Path) -> None:
    _, odds = made_visits(3000, 1)
    assert odds.mean() == pytest.approx(0.06, abs=0.005)
    visits = pd.read_csv(folder / "new.csv", dtype={"visit_id": str})
    store = folder / "kerastudy-store"
    results = ks.read_study("visits", store=store)
    with pytest.warns(UserWarning, match=r"corrected for class weights of the training, 0: 0\.5"):
        corrected = results.predict(visits)
    as_trained = results.load_model().predict(_columns(visits), verbose=0)
    assert corrected.shape == as_trained.shape == (3000, 1) and corrected.dtype == as_trained.dtype
    assert as_trained.mean() > 0.35
    assert corrected.mean() == pytest.approx(odds.mean(), abs=0.012)
    assert np.abs(corrected[:, 0] - odds).mean() < 0.02

    new = folder / "new.csv"
    with pytest.warns(UserWarning, match="without a threshold, the model chooses the class"):
        table = ks.predict("visits", new, probabilities=True, store=store)
    assert [*table] == ["visit_id", "readmitted", "probability_N", "probability_Y"]
    assert table["visit_id"].tolist() == visits["visit_id"].tolist(), "000123 stays 000123"
    np.testing.assert_allclose(table["probability_Y"], corrected[:, 0], rtol=1e-5)
    assert ((table["readmitted"] == "Y") == (as_trained[:, 0] > 0.5)).all()

    options = ("--input", "new.csv", "--threshold", "0.2", "--keep", "age", "--output", "p.csv")
    answer = kerastudy_here(folder, "predict", "visits", *options)
    assert "note: probabilities are corrected for class weights" in answer.stderr
    written = pd.read_csv(folder / "p.csv")
    assert [*written] == ["age", "readmitted"]
    assert ((written["readmitted"] == "Y") == (corrected[:, 0] >= 0.2)).all()


def test_the_weights_and_the_reliability_are_shown(folder: Path) -> None:
    results = ks.read_study("visits", store=folder / "kerastudy-store")
    evaluation = as_json(kerastudy_here(folder, "evaluate", "visits", "--json"))
    text = kerastudy_here(folder, "evaluate", "visits", COLUMNS="80").stdout
    new, diagram = pd.read_csv(folder / "new.csv"), evaluation["reliability"]
    with pytest.warns(UserWarning, match="corrected"):
        odds = results.predict(new)[:, 0]
    assert diagram["brier"] == pytest.approx(
        brier_score_loss(new["readmitted"], odds, pos_label="Y")
    )
    assert [row["samples"] for row in diagram["bins"]] == [300] * 10
    assert "probability of Y, corrected for class weights: Brier score 0.0" in text
    assert "predicted  came true  samples" in text
    assert all(len(line) <= 80 for line in text.splitlines())

    assert "weighted   class 0: 0.5" in kerastudy_here(folder, "show", "visits").stdout
    page = Path(kerastudy_here(folder, "report", "visits").stdout.strip()).read_text("utf-8")
    assert 'data-chart="reliability"' in page and "predict corrects probabilities" in page
    wait_for_exporters()
    description = InMlflow(results).champion.description
    assert "trained with the class weights 0: 0.5" in description


def _columns(visits: pd.DataFrame) -> dict[str, Any]:
    return {name: keras.ops.convert_to_tensor(visits[[name]]) for name in ("age", "stay")}
