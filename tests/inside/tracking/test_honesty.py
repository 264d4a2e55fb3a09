"""What the verdict states holds in worlds whose truth is known: a short run of the benchmark."""

from typing import Literal

import numpy as np
import pytest
from pages import recipe_of_honesty

from benchmarks.honesty.grouped import GroupedSetting, grouped_studies
from benchmarks.honesty.settings import SETTINGS
from benchmarks.honesty.small import SmallSetting, small_studies
from benchmarks.honesty.synthetic import coverage, null_studies
from tracking.statistics import SampleScores, corrected

STUDIES = 60
# Fewer than 52 of 60 intervals of 95 % hold once in 100 times. The seeds are fixed.
FEWEST = 0.95 * STUDIES - 3 * (0.95 * 0.05 * STUDIES) ** 0.5
TINY, DIGITS = SETTINGS[0], SETTINGS[2]


def test_intervals_hold_and_corrected_values_are_not_too_good() -> None:
    shares = coverage(TINY, STUDIES)
    for name in ("corrected", "corrected, all epochs", "confirmed", "gain"):
        missed = shares["intervals"][name] - shares["held"][name]
        assert missed <= STUDIES - FEWEST, name
    # What is reported without a correction does not hold, which this world must show.
    assert shares["held"]["new seeds, same data"] < FEWEST
    assert shares["bias"]["reported, Wilson"] > 1
    assert abs(shares["bias"]["corrected"]) < shares["bias"]["reported, Wilson"] / 2


@pytest.mark.parametrize(
    "setting",
    [
        SmallSetting("accuracy", 0.98, 36),
        SmallSetting("weighted", 0.95, 114),
    ],
    ids=lambda setting: setting.name,
)
def test_intervals_hold_near_1(setting: SmallSetting) -> None:
    shares = small_studies(setting, STUDIES)["corrected"]
    assert shares["held"] >= FEWEST
    assert shares["width"] <= 1.6
    assert shares["narrowest"] > 0
    assert shares["outside"] == 0


@pytest.mark.parametrize("kind", ["accuracy", "loss"])
def test_intervals_hold_in_groups(kind: Literal["accuracy", "loss"]) -> None:
    shares = grouped_studies(GroupedSetting(kind, 60, (2, 30), 0.5), STUDIES)
    for name in ("corrected", "confirmed", "evaluated", "gain"):
        assert shares[name]["given"] == STUDIES
        assert shares[name]["held"] >= FEWEST, name
    assert max(shares[name]["width"] for name in ("corrected", "confirmed", "evaluated")) <= 1.6
    # Samples that are split one by one promise too much.
    assert shares["naive"]["held"] == 0
    few = grouped_studies(GroupedSetting(kind, 59, (2, 30), 0.5), 2)
    assert all(few[name]["given"] == 0 for name in ("corrected", "confirmed", "evaluated"))


def test_no_gain_is_claimed_where_no_setting_matters() -> None:
    shares = null_studies(40, [TINY, DIGITS])
    assert shares["no gain claimed"] >= 0.95 * 40


@pytest.mark.parametrize("epochs", [1, 2])
def test_the_recipe_of_the_page_gives_what_is_said_of_a_study(epochs: int) -> None:
    right = np.random.default_rng(3).random((epochs, 10, 80)) < 0.9
    scores = {
        trial: [
            SampleScores("val_accuracy", "mean", right[epoch, trial], epoch + 1)
            for epoch in range(epochs)
        ]
        for trial in range(10)
    }
    estimate = corrected(scores, "max").estimate
    by_recipe = recipe_of_honesty()(right.reshape(-1, 80).astype(float), several=epochs > 1)
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx(by_recipe)
