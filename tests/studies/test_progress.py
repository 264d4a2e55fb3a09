"""What a person sees of a study on a terminal."""

from __future__ import annotations

import re

import pytest
from scripted import describe

from studies.progress import LineProgress, LiveProgress
from tracking.records import BestEpoch, EpochResult, Objective, TrialResult, TrialSpec


def test_the_bar_of_a_terminal_of_80_columns_is_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    shown = LiveProgress()
    best = BestEpoch(6, 0.9582, {"val_loss": 0.9582})
    shown.begin(describe(trials=100), 42, 100)
    shown.trial_begins(TrialSpec(0, 1, {}, 0, 6, 32, 1, "digest", Objective("val_loss", "min")))
    shown.trial_ended(TrialResult(0, "complete", 6, best, seconds=1.0), (0, 0.9582))
    shown.epoch_ended(EpochResult(0, 5, {"val_loss": 0.9582}, 1.0))
    shown.end()
    drawn = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "\n", capsys.readouterr().err)
    assert re.search(
        r"━ 43/100 left \d+:\d\d trial 0 epoch 5/6 val_loss 0\.9582", " ".join(drawn.split())
    )
    assert "…" not in drawn


def test_the_line_of_a_trial_fits_into_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    shown = LineProgress()
    best = BestEpoch(100, 0.958333, {"val_loss": 0.958333})
    shown.begin(describe(trials=100), 41, 100)
    shown.trial_ended(TrialResult(41, "complete", 100, best, seconds=1.0), (12, 0.958333))
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("trial")]
    assert re.fullmatch(r"trial +41 +42/100 .* best 0\.958333 #12  left \d+:\d\d", line)
    assert len(line) <= 80
