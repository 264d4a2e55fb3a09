"""A private part of a library is missing: `model.fit` trains, or one error names the part."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from conformance.models import SPACE, by_hand, dense, make_spec, make_study

from studies.library_internals import keras_internals
from studies.library_internals import private_api_lookup as parts
from studies.training import CompiledTrainer, run_trial
from tracking.records import EpochResult, TrialTask


def noting(reported: list[Mapping[str, float]]) -> Callable[[EpochResult], Any]:
    def note(epoch: EpochResult) -> str:
        reported.append(epoch.metrics)
        return "continue"

    return note


def take_away(part: parts.PrivatePart, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part, "name", f"{part.name}_of_another_version")


def test_without_a_part_of_programs_fit_trains_a_trial_to_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, trainer = make_study(dense), CompiledTrainer()
    data = study.data.load()
    metrics, _ = by_hand(dense, data, make_spec(1))
    take_away(keras_internals._autocast, monkeypatch)
    for _ in range(2):  # The second program is refused at once.
        reported: list[Mapping[str, float]] = []
        task = TrialTask(make_spec(1), SPACE, tmp_path / "best.weights.h5")
        result = run_trial(study, data, task, noting(reported), trainer)
        assert (result.state, result.trainer, reported) == ("complete", "plain", metrics)
        assert "lacks Variable._autocast" in result.trainer_reason


def test_without_another_part_a_launch_says_so_at_its_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_away(keras_internals._set_global, monkeypatch)
    with pytest.raises(
        parts.MissingPartError, match=r"keras 3\.\d+\.\d+ lacks .*set_global_attribute"
    ):
        make_study(dense).launch(store=tmp_path / "store", progress=False)
