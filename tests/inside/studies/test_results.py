"""What scripts and notebooks get of a study: values, curves, tables, models."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conformance.executor import STUDY_FILE
from user_commands import kerastudy_here

import kerastudy as ks


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study, launched."""
    folder = tmp_path_factory.mktemp("results")
    text = STUDY_FILE.replace("작은 연구", "작은 & 연구")
    (folder / "study.py").write_text(text, encoding="utf-8")
    launch = ("launch", "study.py", "--verify", "off", "--executor", "in-process")
    kerastudy_here(folder, *launch)
    return folder


@pytest.fixture
def history(folder: Path) -> ks.StudyResults:
    return ks.read_study("작은 & 연구", store=folder / "kerastudy-store")


def test_the_best_of_all_curves_and_a_table_with_a_row_a_trial(history: ks.StudyResults) -> None:
    curves = {trial.number: trial.curve["val_loss"] for trial in history.trials}
    lowest = pd.DataFrame(curves).unstack()
    number, epoch = lowest.idxmin()
    assert history.best is not None
    assert (history.best.number, history.best.epoch) == (number, epoch)
    assert history.best.value == history.best_value == lowest.min()
    assert dict(history.best.params) == history.best_params
    assert set(history.best.params) == {"learning_rate", "dropout", "units"}
    assert list(history.best.curve.index) == [1, 2, 3]
    table = history.to_dataframe()
    assert list(table["number"]) == [0, 1, 2, 3]
    for trial, row in zip(history.trials, table.to_dict("records"), strict=True):
        assert row["value"] == row["metrics_val_loss"] == trial.curve["val_loss"].min()
        assert row["params_units"] == trial.params["units"]
        assert (row["state"], row["epochs"], row["seed"]) == ("complete", 3, trial.seed)
    assert table["started"].is_monotonic_increasing


def test_the_champion_predicts(history: ks.StudyResults) -> None:
    x, _ = _samples()
    assert history.best is not None
    part = ks.datasets.arrays(*_samples(), name="made up").load().validation
    scores = history.load_model().evaluate(part.x, part.y, verbose=0, return_dict=True)
    assert scores["loss"] == pytest.approx(history.best.value, rel=1e-6)
    np.testing.assert_array_equal(
        history.predict(x[:5]), history.best.load_model().predict(x[:5], verbose=0)
    )
    np.testing.assert_array_equal(history.predict(x[:5].tolist()), history.predict(x[:5]))
    for wrong, told in (
        (x[0], "it is one sample, not an array of samples; make it x[None]"),
        (x[:3, :4], "has samples of shape (4,). The model takes float32 of shape (6,)."),
        ([], "The array has no samples"),
        ("new.npy", "For a file: kerastudy.predict('작은 & 연구', 'new.npy')"),
        (x.astype(str), "has values of type <U"),
        (pd.DataFrame(x[:3, :4]), "The samples can't be predicted: "),
    ):
        with pytest.raises(ks.errors.DataError, match=re.escape(told)):
            history.predict(wrong)
    with pytest.raises(ks.errors.DataError, match=r"read_study\('작은 & 연구'\)\.predict\(x\)"):
        ks.predict("작은 & 연구", x)  # type: ignore[arg-type]


def test_all_print_in_a_line_and_as_escaped_html(history: ks.StudyResults) -> None:
    assert history.best is not None
    for shown in (history, history.best, history.trials[0]):
        assert "\n" not in repr(shown) and len(repr(shown)) < 140
    assert f"val_loss {history.best.value:.6g} at epoch {history.best.epoch}" in repr(history)
    markup = history._repr_html_()
    assert "작은 &amp; 연구" in markup
    assert f"{history.best.value:.6g}" in markup
    assert f"{len(history.trials)} of {history.description.trials}: " in markup
    assert "learning_rate" in history.best._repr_html_()
    assert repr(history.verdict) == f"<verdict: {history.verdict.text}>"
    assert "\n" not in repr(history.corrected) and len(repr(history.corrected)) < 80


def test_names_of_other_libraries_are_there(history: ks.StudyResults) -> None:
    best = history.best
    assert best is not None and history.best_trial is best
    assert history.trials_dataframe().equals(history.to_dataframe())
    assert best.metrics["val_loss"] == best.value
    assert best.duration is not None
    assert best.duration.total_seconds() == pytest.approx(best.result.seconds, abs=1e-6)
    assert "<html" in history.report().read_text(encoding="utf-8")
    study = ks.Study("a", data=ks.datasets.arrays(*_samples()), build=print)
    with pytest.raises(
        AttributeError, match=r"results in the store have it: \.history\(\)\.best_params"
    ):
        _ = study.best_params
    with pytest.raises(AttributeError, match=r"Did you mean 'best_trial'.*\.history\(\)"):
        _ = study.best_trail
    with pytest.raises(AttributeError, match="'Study' has no attribute 'nothing'"):
        _ = study.nothing


def test_a_definition_prints_in_a_line_and_with_its_space() -> None:
    data = ks.datasets.arrays(*_samples())
    space = ks.SearchSpace(ks.learning_rate(), ks.Choice("kind", ["<i>", "b"]))
    study = ks.Study("a & b", data=data, build=print, space=space, objective="val_loss")
    assert repr(study) == "<study 'a & b': val_loss, 2 hyperparameters, optuna:tpe, 20 trials>"
    markup = study._repr_html_()
    assert "a &amp; b" in markup and "&lt;i&gt;" in markup and "<i>" not in markup


def test_without_a_store_there_is_a_line(tmp_path: Path) -> None:
    assert ks.list_studies(tmp_path / "none") == []
    with pytest.raises(ks.errors.StudyNotFoundError, match="There is no store at"):
        ks.read_study("digits", store=tmp_path / "none")


def test_dir_shows_what_is_public() -> None:
    datasets = set(dir(ks.datasets))
    assert set(dir(ks)) == set(ks.__all__)
    assert {"arrays", "batches", "digits", "npz"} <= datasets
    assert not {"annotations", "partial", "Path", "Any"} & datasets
    assert set(dir(ks.outputs)) == {"Output", "binary", "classes", "one_hot", "regression"}


def _samples() -> tuple[np.ndarray, np.ndarray]:
    """The study's data, made anew."""
    x = np.random.default_rng(0).normal(size=(90, 6)).astype("float32")
    return x, (x.sum(axis=1) > 0).astype("int64")
