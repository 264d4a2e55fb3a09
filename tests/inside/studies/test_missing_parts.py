"""A private part of a library is missing: `model.fit` trains, or one error names the part."""

from pathlib import Path

import pytest
from conformance.models import by_hand, dense, make_spec, make_study
from conformance.trainer import train

from studies.library_internals import keras_internals
from studies.library_internals import private_api_lookup as parts
from studies.training import CompiledTrainer


def take_away(part: parts.PrivatePart, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part, "name", f"{part.name}_of_another_version")


def test_without_a_part_of_programs_fit_trains_a_trial_to_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, spec, trainer = make_study(dense), make_spec(1), CompiledTrainer()
    metrics, _ = by_hand(dense, study.data.load(), spec)
    take_away(keras_internals._autocast, monkeypatch)
    for _ in range(2):  # The second program is refused at once.
        result, epochs = train(trainer, study, spec, tmp_path)
        assert (result.state, result.trainer, epochs) == ("complete", "plain", metrics)
        assert "lacks Variable._autocast" in result.trainer_reason


def test_without_another_part_a_launch_says_so_at_its_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_away(keras_internals._set_global, monkeypatch)
    with pytest.raises(
        parts.MissingPartError, match=r"keras 3\.\d+\.\d+ lacks .*set_global_attribute"
    ):
        make_study(dense).launch(store=tmp_path / "store", progress=False)
