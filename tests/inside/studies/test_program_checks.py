"""A program that was traced for another trial is checked before it trains this one."""

from __future__ import annotations

import functools
import logging
from dataclasses import replace

import pytest
from exact_training import by_hand, by_trainer, samples, spec_of
from model_zoo import closed_over

from studies.training import Checked, CompiledTrainer, Structure, configure_tensorflow, is_due
from studies.training.programs import compiled_trainer as compiled
from studies.training.programs import program as programs


class Careless(Structure):
    """Takes all models for alike: a constant of one trial is shared by all."""

    def __init__(self, *roots: object) -> None:
        super().__init__(*roots)
        self.key = self.digest = "the same"


@pytest.mark.exhaustive
def test_a_stale_program_is_found(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    configure_tensorflow(None)
    for module in (compiled, programs):
        monkeypatch.setattr(module, "Structure", Careless)
    trainer, splits, used = CompiledTrainer(), samples(), []
    # Neither the number nor the values of a trial are seen by `fit`.
    by_fit = {
        strength: by_hand(
            functools.partial(closed_over, {"strength": strength}), splits, spec_of(2)
        )
        for strength in (0.5, 1.5)
    }
    with caplog.at_level(logging.WARNING):
        for number, strength in enumerate([0.5, 1.5, 0.5]):
            build = functools.partial(closed_over, {"strength": strength})
            spec = replace(spec_of(2), number=number, values={"unused": strength / 2})
            assert by_trainer(trainer, build, splits, spec) == by_fit[strength]
            used.append(trainer.used)
    assert [name for name, _ in used] == ["compiled", "plain", "plain"]
    assert used[1][1] == used[2][1]
    assert "other numbers than the model's own steps" in used[1][1]
    (told,) = [record.getMessage() for record in caplog.records]
    assert told.startswith("trial 1: ") and "\n" not in told


def test_a_program_is_checked_for_each_hyperparameter_that_varies() -> None:
    checked, due = Checked(), []
    for values in (
        {"rate": 0.1, "units": 8},
        {"rate": 0.1, "units": 8},
        {"rate": 0.2, "units": 8},
        {"rate": 0.3, "units": 8},
        {"rate": 0.1, "units": 8, "momentum": 0.9},
        {"rate": 0.4, "units": 9},
        {"rate": 0.4, "units": 9, "momentum": 0.8},
    ):
        due.append(is_due(checked, values))
        if due[-1]:
            checked.passed(values)
    assert due == [False, True, True, False, True, True, False]
