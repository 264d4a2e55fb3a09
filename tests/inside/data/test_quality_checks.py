"""Parts of looking at data: a glance, marks of samples, and the classifier of two samples."""

import numpy as np
import pytest
from scipy.stats import norm

import kerastudy as ks
from studies.data import CrossValidation, glance_at, marks, told_apart
from tracking.records import ConstantGuess

RANDOM = np.random.default_rng(0)


def test_a_glance_at_folds_sees_that_the_test_part_is_among_them() -> None:
    x, y = RANDOM.normal(size=(240, 4)), np.where(np.arange(240) < 33, 1, 0)
    data = ks.datasets.arrays(x, y, test=(x[:60], y[:60]))
    glance = glance_at(data.load_folds(CrossValidation("", 4)), "made")
    (problem,) = glance.problems
    assert problem.startswith("All 60 test samples are training samples too")
    assert glance.guess == ConstantGuess("0", 207 / 240)


@pytest.mark.parametrize("dtype", ["uint8", "bool", "float64", "U3", "object"])
def test_marks_are_alike_for_alike_samples_alone(dtype: str) -> None:
    array = RANDOM.integers(0, 2, (2_000, 11)).astype("U3" if dtype == "object" else dtype)
    array = array.astype(dtype)
    by_mark = marks({"x": array})
    rows = [tuple(row) for row in array.tolist()]
    assert len(set(by_mark.tolist())) == len(set(rows)) == len(set(zip(rows, by_mark, strict=True)))


@pytest.mark.parametrize("shift", ["mean", "variance", "relation"])
def test_a_classifier_finds_differences(shift: str) -> None:
    first, second = RANDOM.normal(size=(2, 200, 5))
    if shift == "mean":
        second[:, 2] += 2
    elif shift == "variance":
        second[:, 2] *= 4
    else:
        second[:, 2] = 0.97 * second[:, 1] + 0.24 * second[:, 2]
    auc = told_apart(first, second)
    assert auc.p < 0.001 and auc.share > 0.6
    if shift == "mean":
        # The shift between two normal distributions decides how many samples are told apart.
        assert auc.share == pytest.approx(norm.cdf(2 / 2**0.5), abs=0.06)
