"""What bits depend on beside a trial's spec and code: recorded, and compared."""

from __future__ import annotations

import keras
import pytest

from studies.training import environment, environment_differences


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


def test_what_an_older_record_lacks_is_no_difference() -> None:
    now = {"python": "3.12", "variables": "XLA_FLAGS=x"}
    assert environment_differences({"python": "3.12"}, now) == []
    assert environment_differences({"python": "3.11"}, now) == ["python was 3.11 and is 3.12"]
