"""A study keeps the class of hardware that it was begun on."""

from __future__ import annotations

from pathlib import Path

import pytest
from scripted import ScriptedExecutor, describe, run_study

from search_spaces import StudyChangedError
from studies.commands import study_text
from studies.progress import NoProgress
from studies.training import environment, hardware_class
from tracking.history import StudyHistory
from tracking.mlflow import Pages, study_note

PAGES = Pages("1", "parent")
OURS, OTHER = "vendor_id A cpu family 6 model 85 avx512", "vendor_id B cpu family 25 model 1 avx2"
DIFFER = "of any kind: bits may differ between trials"


def launch(store: Path, hardware: str, trials: int, *, any_hardware: bool = False) -> StudyHistory:
    executor = ScriptedExecutor(describe(hardware=hardware, trials=trials))
    return run_study(
        executor, store=store, progress=NoProgress(), verify="off", any_hardware=any_hardware
    )


def specs(history: StudyHistory) -> list[str]:
    return [trial.spec.hardware for trial in history.trials]


def test_another_class_is_refused_until_a_user_allows_it(tmp_path: Path) -> None:
    history = launch(tmp_path, OURS, 2)
    assert specs(launch(tmp_path, OURS, 3)) == [OURS] * 3
    assert DIFFER not in study_text(history) + study_note(history, PAGES)
    with pytest.raises(StudyChangedError) as refused:
        launch(tmp_path, OTHER, 4)
    for words in (OURS, OTHER, "--any-hardware"):
        assert words in str(refused.value)
    history = launch(tmp_path, OTHER, 4, any_hardware=True)
    assert specs(history) == [*[OURS] * 3, "any"]
    assert DIFFER in study_text(history) and DIFFER in study_note(history, PAGES)
    # From then on, on each.
    assert specs(launch(tmp_path, OURS, 5)) == [*[OURS] * 3, "any", "any"]


def test_the_class_of_this_machine() -> None:
    found = environment()
    name = hardware_class()
    assert name and "\n" not in name
    if found["device"] != name and found["processor"]:
        assert name.startswith(found["processor"])
        assert name.removeprefix(found["processor"]).strip() in found["instructions"]
