"""What a process has and loads, and what bits depend on beside a trial's spec and code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import psutil
import pytest
from scripted import ScriptedExecutor, describe, run_study

from search_spaces import StudyChangedError
from studies.commands import study_text
from studies.training import PeakMemory, environment, environment_differences, hardware_class
from tracking.history import StudyHistory
from tracking.mlflow import Pages, study_note


def test_what_changes_bits_is_recorded_and_nothing_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    before = environment()
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=true")
    monkeypatch.setenv("TF_VAR_password", "hush")
    epsilon = keras.config.epsilon()
    try:
        keras.config.set_epsilon(1e-3)
        now = environment()
    finally:
        keras.config.set_epsilon(epsilon)
    assert environment_differences(before, before) == []
    settings, variables = environment_differences(before, now)
    assert settings.startswith("keras settings was backend=tensorflow floatx=float32 epsilon=1e-07")
    assert "epsilon=0.001" in settings
    flags = "TF_ENABLE_ONEDNN_OPTS=0 XLA_FLAGS=--xla_cpu_enable_fast_math=true"
    assert variables == f"variables was none and is {flags}"
    assert "hush" not in str(now)
    assert {"processor", "instructions", "device", "python", "tensorflow"} <= now.keys()
    # The class of this machine is its device, or its processor with the widest instructions.
    assert hardware_class() == now["device"] or hardware_class().startswith(now["processor"])


OURS, OTHER = "vendor_id A cpu family 6 model 85 avx512", "vendor_id B cpu family 25 model 1 avx2"
DIFFER = "of any kind: bits may differ between trials"


def launch(store: Path, hardware: str, trials: int, *, any_hardware: bool = False) -> StudyHistory:
    executor = ScriptedExecutor(describe(hardware=hardware, trials=trials))
    return run_study(executor, store=store, verify="off", any_hardware=any_hardware)


def specs(history: StudyHistory) -> list[str]:
    return [trial.spec.hardware for trial in history.trials]


def test_another_class_is_refused_until_a_user_allows_it(tmp_path: Path) -> None:
    history = launch(tmp_path, OURS, 2)
    assert specs(launch(tmp_path, OURS, 3)) == [OURS] * 3
    pages = Pages("1", "parent")
    assert DIFFER not in study_text(history) + study_note(history, pages)
    with pytest.raises(StudyChangedError) as refused:
        launch(tmp_path, OTHER, 4)
    for words in (OURS, OTHER, "--any-hardware"):
        assert words in str(refused.value)
    history = launch(tmp_path, OTHER, 4, any_hardware=True)
    assert specs(history) == [*[OURS] * 3, "any"]
    assert DIFFER in study_text(history) and DIFFER in study_note(history, pages)
    # From then on, on each.
    assert specs(launch(tmp_path, OURS, 5)) == [*[OURS] * 3, "any", "any"]


@pytest.mark.skipif(not psutil.LINUX, reason="others tell the peak of the whole process")
def test_the_peak_of_a_trial_is_its_own() -> None:
    large = PeakMemory()
    np.ones(200 * 2**20, np.uint8).sum()
    before = large.size
    small = PeakMemory()
    assert small.size < before - 150 * 2**20


_PROGRAM = """
import json, sys
import kerastudy
from studies.library_internals.quiet_imports import load_late
load_late()
import keras, tensorflow
loaded = ["sklearn" in sys.modules, "matplotlib" in sys.modules]
import sklearn.base
wrapped = keras.wrappers.SKLearnClassifier(model=keras.Sequential)
gallery = tensorflow.keras.visualization.plot_image_gallery
print(json.dumps([loaded, sklearn.base.is_classifier(wrapped), gallery.__name__]))
"""


@pytest.mark.exhaustive
def test_keras_loads_its_wrappers_and_galleries_at_their_first_use() -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [[False, False], True, "plot_image_gallery"]
