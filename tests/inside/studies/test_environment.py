"""The environment of a process, on which a trial's bits also depend."""

import keras
import pytest

from studies.training import environment, environment_differences, hardware_class


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
