"""Objective functions in several worker processes: the same study whatever the timing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from user_commands import kerastudy_here

from tracking.history import StudyHistory, read_study
from tracking.store import create_store, open_store

FOLDS = """
import os
import time

import keras
import numpy as np
import optuna

x = np.random.default_rng(0).normal(size=(60, 4)).astype("float32")
y = x.sum(axis=1)


def objective(trial):
    units = trial.suggest_int("units", 1, 16)
    rate = trial.suggest_float("rate", 1e-4, 1.0, log=True)
    if units % 2 == int(os.environ["SLOW"]):
        # So that trials end in another order.
        time.sleep(1)
    losses = []
    for fold in range(2):
        held = np.arange(60) % 2 == fold
        layers = [keras.layers.Dense(units, "tanh"), keras.layers.Dense(1)]
        model = keras.Sequential([keras.layers.Input((4,)), *layers])
        model.compile(keras.optimizers.SGD(rate), "mse")
        model.fit(x[~held], y[~held], epochs=2, verbose=0)
        losses.append(model.evaluate(x[held], y[held], verbose=0))
        trial.report(np.mean(losses), fold)
        if trial.should_prune():
            raise optuna.TrialPruned
    return np.mean(losses)
"""


def launched(folder: Path, workers: int, *options: str, slow: int = 0) -> StudyHistory:
    folder.mkdir()
    (folder / "folds.py").write_text(FOLDS)
    create_store(folder / "kerastudy-store")
    launch = ["launch", "folds.py:objective", "--no-report", "--trials", "14", *options]
    kerastudy_here(folder, *launch, "--workers", str(workers), SLOW=str(slow))
    store = open_store(folder / "kerastudy-store")
    assert store is not None
    return read_study(store, "folds")


def outcome(history: StudyHistory) -> list[Any]:
    return [
        (t.state, t.value, t.spec, t.result and t.result.weights_sha256, history.curve(t))
        for t in history.trials
    ]


@pytest.mark.exhaustive
def test_two_deterministic_workers_give_the_same_study(tmp_path: Path) -> None:
    first = launched(tmp_path / "first", 2, "--deterministic")
    second = launched(tmp_path / "second", 2, "--deterministic", slow=1)
    assert outcome(first) == outcome(second)
    assert first.counts()["complete"] > 1 and first.counts()["pruned"] > 0


@pytest.mark.exhaustive
def test_one_worker_gives_what_two_give_if_no_proposal_depends_on_results(tmp_path: Path) -> None:
    options = ("--engine", "random", "--pruner", "none")
    one, two = (launched(tmp_path / str(n), n, *options) for n in (1, 2))
    assert outcome(one) == outcome(two)
    assert one.counts()["complete"] == 14
