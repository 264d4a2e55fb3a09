"""Scores under several seeds as an array: its means and variances are the objective's."""

from __future__ import annotations

import numpy as np
import pytest

from studies.confirming.outcome import score_matrix
from tracking.scores import SampleScores
from tracking.statistics.crossed import crossed


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
