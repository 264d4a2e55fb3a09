"""The data of objective functions: its digests, and warnings where values do not compare."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from handmade import trial_record

from studies.launching import ValidationParts
from studies.training import fit_digests
from tracking.records import EndedTrial, TrialResult

X, Y = np.arange(16.0).reshape(8, 2), np.arange(8.0)


def test_each_part_of_a_fit_counts() -> None:
    given = {"x": X, "y": Y, "validation_data": (X + 1, Y + 1), "epochs": 3}
    digests = fit_digests(given)
    assert fit_digests({**given, "epochs": 9, "x": X.copy()}) == digests
    other = X.copy()
    other[7, 1] += 1e-12
    for changed in (
        {"x": other},
        {"y": Y + 1},
        {"sample_weight": Y},
        {"validation_data": (other, Y + 1)},
        {"validation_data": (X + 1, Y)},
    ):
        assert fit_digests({**given, **changed}).data != digests.data
    # Only what validates says whether values compare.
    assert fit_digests({**given, "x": other}).validation == digests.validation
    assert fit_digests({**given, "validation_data": (X + 1, Y)}).validation != digests.validation


def test_shares_structures_frames_and_tensors_count() -> None:
    first, second = (fit_digests({"x": X, "y": Y, "validation_split": s}) for s in (0.2, 0.5))
    assert first.data != second.data and first.validation != second.validation
    assert fit_digests({"x": X, "y": Y}).validation == ""
    digests = fit_digests({"x": {"a": X, "b": [Y]}, "y": Y})
    assert digests.data != fit_digests({"x": {"a": X, "b": [Y + 1]}, "y": Y}).data
    assert fit_digests({"x": keras.ops.convert_to_tensor(X), "y": Y}).data
    assert fit_digests({"x": pd.DataFrame(X), "y": pd.Series(Y)}).data


def batches() -> Any:
    yield X, Y


@pytest.mark.parametrize("given", [batches(), object(), "x", np.array([object()]), [1.0, 2.0]])
def test_what_is_no_array_has_no_digest(given: Any) -> None:
    assert fit_digests({"x": given}) == ("", "")


def test_large_arrays_are_sampled_at_equal_distances(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studies.training.objective_function_trial._MOST_BYTES", X.nbytes // 2)
    counted, between = X.copy(), X.copy()
    counted[2] += 1
    between[3] += 1
    digest = fit_digests({"x": X}).data
    assert fit_digests({"x": between}).data == digest != fit_digests({"x": counted}).data


def validated(number: int, on: str) -> EndedTrial:
    digests: Any = {"data_digest": "d" * 64, "validation_digest": on}
    result = TrialResult(number, "complete", trainer="objective", **digests)
    return trial_record(number, None, state="running").with_result(result)


def test_other_validation_samples_are_warned_of_once() -> None:
    parts = ValidationParts([validated(0, "v")])
    told = parts.take(validated(1, "w"))
    assert "trial 1 was validated on other samples than trial 0" in told
    assert parts.take(validated(2, "u")) == ""
