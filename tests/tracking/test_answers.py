"""What a study finds about a scientific hyperparameter: its answer, and how each value fits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planted import Planted

import kerastudy as ks
from search_spaces import SearchSpace
from tracking.diagnosis.answers import answers
from tracking.diagnosis.diagnose import diagnose
from tracking.diagnosis.diagnosed import DiagnosedStudy
from tracking.diagnosis.findings import TooThinError
from tracking.diagnosis.value_fits import value_fits

WIDTH = ks.Choice("width", ["small", "right", "large"], role="scientific")
SPACE = SearchSpace(WIDTH, ks.Float("rate", 0.0, 1.0))
REACHED = {"small": 0.5, "right": 0.9, "large": 0.7}
EPOCHS = np.arange(1, 31)


def curve(accuracy: float, epochs: int, random: np.random.Generator) -> np.ndarray:
    """Rises until it is there; that of the large network falls again from epoch 10 on."""
    rising = accuracy - 0.3 * np.exp(-EPOCHS / 3) - random.normal(0, 0.0005, len(EPOCHS))
    return rising - 0.005 * np.maximum(EPOCHS - 10, 0) * (0.6 < accuracy < 0.8)


def training(curve: np.ndarray) -> np.ndarray:
    """The small network is no better on training data, the large one learns it by heart."""
    if curve.max() < 0.6:
        return curve - 0.01
    return np.linspace(0.6, 0.99, len(curve)) if curve.max() < 0.8 else curve + 0.02


def planted(**settings: Any) -> Planted:
    return Planted(
        **{
            "space": SPACE,
            "accuracy": lambda values: REACHED[values["width"]] + 0.02 * values["rate"],
            "curve": curve,
            "training": training,
            "epochs": len(EPOCHS),
            "trials": 60,
            **settings,
        }
    )


def test_each_value_is_shown_for_what_it_is(tmp_path: Path) -> None:
    history = planted().history(tmp_path)
    finding = value_fits(DiagnosedStudy(history), WIDTH)
    fits = {name: each["fit"] for name, each in finding.evidence.items()}
    assert fits == {"small": "underfits", "right": "fits", "large": "overfits"}
    # In the order of the space, each by its best trial and that one's best epoch.
    for name, each in finding.evidence.items():
        of_value = [trial for trial in history.ended if trial.params["width"] == name]
        best = max(of_value, key=lambda trial: trial.value)
        assert (each["trial"], each["best epoch"]) == (best.number, best.epoch)
        points = [row for row in finding.rows if row["label"] == name]
        assert [row["epoch"] for row in points] == EPOCHS.tolist()
        assert [row["epoch"] for row in points if row["best"]] == [best.epoch]
    large = [row["value"] for row in finding.rows if row["label"] == "large"]
    worse = finding.evidence["large"]["worse at the end by"]
    assert worse == pytest.approx(max(large) - large[-1])
    assert f"large overfits (best epoch {int(np.argmax(large)) + 1} of 30" in finding.verdict
    assert finding.title == "width: 1 of 3 values underfits, 1 of 3 values overfits"


def test_what_is_too_short_is_not_judged(tmp_path: Path) -> None:
    history = planted(
        epochs=7, curve=lambda *given: curve(*given)[:7], training=lambda each: each
    ).history(tmp_path)
    with pytest.raises(TooThinError, match="8 epochs"):
        value_fits(DiagnosedStudy(history), WIDTH)


def test_an_answer_claims_no_more_than_its_intervals(tmp_path: Path) -> None:
    """Two values are alike, the third is worse: the best one leads, and only the third is worse."""
    reached = {"small": 0.5, "right": 0.9, "large": 0.9}
    history = planted(
        accuracy=lambda values: reached[values["width"]] + 0.02 * values["rate"]
    ).history(tmp_path)
    (sentence,) = answers(history).values()
    better, leads = sentence.split("; it leads ")
    assert better.split(" is better than ")[1].startswith("small by 0.4 ± ")
    assert leads.split(" by ")[0] in ("right", "large")
    gap, half = leads.split(" by ")[1].split(" without")[0].split(" ± ")
    assert float(gap) <= float(half)
    (finding,) = [each for each in diagnose(history).findings if each.check == "isolation"]
    assert finding.title == "width: small is clearly worse"
    assert finding.changes.ranges == {"width": "right,large"}


def test_without_a_scientific_hyperparameter_there_is_no_answer(tmp_path: Path) -> None:
    space = SearchSpace(ks.Choice("width", ["small", "right", "large"]), ks.Float("rate", 0.0, 1.0))
    history = planted(space=space).history(tmp_path)
    assert answers(history) == {}
    checks = {each.check for each in diagnose(history).findings}
    assert not checks & {"isolation", "fit of values"}
