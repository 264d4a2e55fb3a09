"""A study whose best trial was pruned counts it as any other."""

from __future__ import annotations

from pathlib import Path

import pytest
from blobs import write_study
from user_commands import as_json, kerastudy_here

import kerastudy as ks

SETTINGS = """    epochs=4,
    engine="optuna:random",
    pruner="successive-halving",
    initial=[{"learning_rate": 0.001}, {"learning_rate": 0.3}, {"learning_rate": 0.002}],
    callbacks=callbacks,
"""
# The second trial learns best in its first epoch, and then nothing any more.
CALLBACKS = """def callbacks(hp):
    import keras

    class Ruining(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                kernel = self.model.layers[0].kernel
                kernel.assign(-9.0 * kernel)

    return [Ruining()] if hp["learning_rate"] == 0.3 else []


"""


@pytest.mark.exhaustive
def test_a_pruned_trial_is_chosen_registered_and_trained_again(tmp_path: Path) -> None:
    write_study(
        tmp_path,
        seed=SETTINGS,
        study=CALLBACKS + 'study = ks.Study(\n    "blobs"',
        objective='"val_loss"',
    )
    arguments = ("launch", "my_study.py", "--store", "store", "--executor", "in-process")
    kerastudy_here(tmp_path, *arguments, "--verify", "full")
    history = ks.read_study("blobs", store=tmp_path / "store")
    best = history.best
    assert best is not None and best.best is not None
    assert (best.number, best.state, best.epoch) == (1, "pruned", 1)
    assert 1 < best.result.epochs < 4
    assert best.curve["val_loss"][best.result.epochs] > best.best.value
    assert history.is_champion(best) and best.verified == "model.fit, identical"
    told = kerastudy_here(tmp_path, "reproduce", "blobs", "--store", "store", "--json")
    again = as_json(told)
    assert (again["trial"], again["identical"]) == (1, True)
    assert again["weights_sha256"]["reproduced"] == best.result.weights_sha256
