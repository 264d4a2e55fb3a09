"""A study whose best trial was pruned, or diverged late: it counts as any other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from blobs import write_study
from stores import history_at
from user_commands import kerastudy_here

from tracking.store import checkpoint_digest

SETTINGS = """    epochs=4,
    engine="optuna:random",
    pruner="successive-halving",
    initial=[{"learning_rate": 0.001}, {"learning_rate": 0.3}, {"learning_rate": 0.002}],
    callbacks=callbacks,
"""
CALLBACKS = """def callbacks(hp):
    import keras

    class Ruining(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                kernel = self.model.layers[0].kernel
                kernel.assign(FACTOR * kernel)

    return [Ruining()] if hp["learning_rate"] == 0.3 else []


"""


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("state", "factor"),
    [
        ("pruned", "-9.0"),
        pytest.param("complete", 'float("nan")', marks=pytest.mark.exhaustive),
    ],
)
def test_a_trial_that_ended_early_is_chosen_registered_and_trained_again(
    tmp_path: Path, state: str, factor: str
) -> None:
    """It learns best in its first epoch, and then nothing any more."""
    write_study(
        tmp_path,
        seed=SETTINGS,
        study=CALLBACKS.replace("FACTOR", factor) + 'study = ks.Study(\n    "blobs"',
        objective='"val_loss"',
    )
    arguments = ("launch", "my_study.py", "--store", "store", "--executor", "in-process")
    told = kerastudy_here(tmp_path, *arguments, "--verify", "full")
    history = history_at(tmp_path / "store", "blobs")
    best = history.best
    assert best is not None and best.result is not None and best.best is not None
    assert (best.number, best.state, best.best.epoch) == (1, state, 1)
    assert 1 < best.result.epochs < 4
    if state == "pruned":
        assert history.curve(best)[best.result.epochs]["val_loss"] > best.best.value
    else:
        assert best.result.reason == "loss is nan in epoch 2"
        assert "loss is nan in epoch 2" in told.stdout
        assert "val_loss" not in history.curve(best)[2]

    path = history.checkpoint(best)
    assert path is not None
    assert checkpoint_digest(path) == best.result.checkpoint_sha256
    assert history.is_champion(best)
    assert best.verified == "model.fit, identical"
    if state == "pruned":
        # By a new process, as any trial is.
        return

    told = kerastudy_here(tmp_path, "reproduce", "blobs", "--store", "store", "--json")
    again = json.loads(told.stdout)
    assert (again["trial"], again["identical"]) == (1, True)
    assert again["weights_sha256"]["reproduced"] == best.result.weights_sha256
