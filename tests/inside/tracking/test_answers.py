"""What a study finds about a scientific hyperparameter: its answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from planted import Planted

import kerastudy as ks
from search_spaces import SearchSpace
from tracking.diagnosis import answers, diagnose

WIDTH = ks.Choice("width", ["small", "right", "large"], role="scientific")
SPACE = SearchSpace(WIDTH, ks.Float("rate", 0.0, 1.0))
REACHED = {"small": 0.5, "right": 0.9, "large": 0.7}


def planted(**settings: Any) -> Planted:
    return Planted(
        **{
            "space": SPACE,
            "accuracy": lambda values: REACHED[values["width"]] + 0.02 * values["rate"],
            "trials": 60,
            **settings,
        }
    )


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
    diagnosis = diagnose(history)
    assert "isolation" not in {each.check for each in diagnosis.findings}
    (missing,) = [each for each in diagnosis.unchecked if each.check == "isolation"]
    assert "no hyperparameter is scientific" in missing.reason
