"""Scores under several seeds as an array: its means and variances are the objective's."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from tracking.scores import SampleScores, score_matrix
from tracking.statistics import crossed


def test_a_weighted_mean_varies_as_its_jackknife_says() -> None:
    rng = np.random.default_rng(0)
    values, weights = rng.random(400) < 0.95, np.exp(rng.normal(0, 0.8, 400))
    scores = SampleScores("accuracy", "mean", values, 1, weights, 0.25)
    found = crossed(score_matrix([scores, scores]))
    left_out = np.array(
        [
            np.average(np.delete(values, i), weights=np.delete(weights, i)) + 0.25
            for i in range(len(values))
        ]
    )
    assert found.mean == pytest.approx(np.average(values, weights=weights) + 0.25)
    # The jackknife: (n - 1) / n times the sum of the squared deviations.
    assert found.of_samples == pytest.approx(399 * left_out.var(), rel=0.05)


@pytest.mark.parametrize("kind", ["mean", "root_mean"])
def test_groups_vary_as_a_jackknife_of_groups_says(kind: Literal["mean", "root_mean"]) -> None:
    rng = np.random.default_rng(1)
    groups = rng.integers(0, 25, 400)
    values = rng.exponential(size=400) * (1 + rng.random(25)[groups])
    scores = SampleScores("loss", kind, values, 1, groups=groups)
    found = crossed(score_matrix([scores, scores]))
    whole = (lambda x: np.sqrt(x.mean())) if kind == "root_mean" else np.mean
    left_out = np.array([whole(values[groups != group]) for group in range(25)])
    assert found.samples == 25
    assert found.of_samples == pytest.approx(24 * left_out.var(), rel=0.1)
