"""Trials as CSV and Parquet; a model as a .keras file."""

import csv
import json
from pathlib import Path

import keras
import numpy as np
import pytest
from scripted import ScriptedExecutor, describe, run_study
from study_file import Launched
from user_commands import as_json, kerastudy_here

import kerastudy as ks

SPACE = ks.SearchSpace(
    ks.Float("rate", 1e-4, 1e-1, scale="log"),
    ks.Int("units", 4, 64),
    ks.Choice("kind", ["a", "b"]),
    ks.Float("@momentum", 0.0, 0.9, when={"kind": "b"}),
)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> ks.StudyResults:
    description = describe(trials=14, pruner="median", space=SPACE)
    executor = ScriptedExecutor(description, infeasible={3})
    folder = tmp_path_factory.mktemp("made") / "store"
    run_study(executor, store=folder)
    return ks.read_study("scripted", store=folder)


def test_tables(results: ks.StudyResults, tmp_path: Path) -> None:
    def export(*options: str, code: int = 0) -> str:
        words = ("export", "scripted", "--store", str(results.store.root), *options)
        answer = kerastudy_here(tmp_path, *words, expect=code)
        return answer.stdout if code == 0 else answer.stderr

    # A paper gets the ten best trials, the best first.
    assert export("--as", "latex") == "scripted-trials.tex: 10 trials of scripted\n"
    lines = (tmp_path / "scripted-trials.tex").read_text().splitlines()
    heading, *best = [line.removesuffix(r" \\").split(" & ") for line in lines if "&" in line]
    assert heading == ["trial", r"val\_loss", "epoch", "rate", "units", "kind", "@momentum"]
    ranked = sorted((t for t in results.trials if t.value is not None), key=lambda t: t.value or 0)
    assert [int(row[0]) for row in best] == [trial.number for trial in ranked[:10]]
    for row, trial in zip(best, ranked[:10], strict=True):
        assert row[1] == f"{trial.value:.4g}" and row[3] == f"{trial.spec.values['rate']:.4g}"
        assert (row[6] == "--") == ("@momentum" not in trial.spec.values)
    assert export("--as", "csv") == "scripted-trials.csv: 14 trials of scripted\n"
    with (tmp_path / "scripted-trials.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    document = json.loads(export("--as", "csv", "--output", "trials.csv", "--json"))
    expected = ("csv", 14, str(tmp_path / "trials.csv"))
    assert (document["as"], document["rows"], document["file"]) == expected
    for trial, row in zip(results.trials, rows, strict=True):
        told_of = (row["number"], row["state"], row["seed"])
        assert told_of == (str(trial.number), trial.state, str(trial.spec.seed))
        assert row["value"] == ("" if trial.best is None else repr(trial.best.value))
    assert "infeasible" in rows[3]["state"] and rows[3]["reason"]

    assert export("--as", "csv", "--output", "-") == (tmp_path / "scripted-trials.csv").read_text()
    assert "name a file" in export("--as", "keras", "--output", "-", code=2)
    assert "exists" in export("--as", "csv", code=2)
    export("--as", "csv", "--force")
    assert "--trial is for --as script or --as keras" in export(
        "--as", "csv", "--trial", "1", code=2
    )


def test_a_model_as_a_file(blobs: Launched, tmp_path: Path) -> None:
    """The champion's model is the registered one, which other tests load."""
    words = ("export", "blobs", "--store", blobs.store, "--as", "keras", "--json")
    model = keras.saving.load_model(as_json(kerastudy_here(tmp_path, *words))["file"])
    history = ks.read_study("blobs", store=blobs.store)
    x = np.zeros((5, 4), "float32")
    expected = history.best.load_model().predict(x, verbose=0)  # type: ignore[union-attr]
    assert (model.predict(x, verbose=0) == expected).all()
