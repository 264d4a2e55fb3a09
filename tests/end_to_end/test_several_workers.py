"""Several worker processes: the same study whatever the timing, and trials that hang."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from stores import history_at
from user_commands import as_json, kerastudy, kerastudy_here, write_study

from studies.running import AwakeClock
from tracking.history import StudyHistory
from tracking.store import create_store


def read(folder: Path) -> StudyHistory:
    return history_at(folder / "kerastudy-store", "작은 연구")


@contextmanager
def busy_core() -> Iterator[None]:
    """Has another process work on one core meanwhile, and this one's children on it alone."""
    before = os.sched_getaffinity(0)
    core = {min(before)}
    os.sched_setaffinity(0, core)
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()
        os.sched_setaffinity(0, before)


WAITS = """
    import time
    class Waiting(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            # Longer than what another load may bring into disorder.
            time.sleep(epoch == 0 and hp["units"] % 2 == {slow})
    return [Waiting()]
"""


@pytest.mark.exhaustive
def test_two_deterministic_workers_give_the_same_study_under_any_load(tmp_path: Path) -> None:
    """Though other trials are slow, and so end in another order.

    That they do so though processes are killed is in `tests/chaos`.
    """
    folders = [tmp_path / "idle", tmp_path / "under load"]
    for slow, folder in enumerate(folders):
        folder.mkdir()
        callbacks = f"def callbacks(hp):{WAITS.format(slow=slow)}\n\nstudy = ks.Study("
        write_study(
            folder,
            **{
                "study = ks.Study(": callbacks,
                "build=build,": "build=build, callbacks=callbacks,",
                'objective="val_loss",': 'objective="val_loss", pruner="median",',
            },
        )
    arguments = ["launch", "study.py", "--trials", "16", "--workers", "2", "--deterministic"]
    kerastudy(folders[0], *arguments)
    with busy_core():
        kerastudy(folders[1], *arguments)
    first, second = map(read, folders)
    assert [
        (t.state, t.spec, t.result and (t.result.weights_sha256, t.result.epochs))
        for t in first.trials
    ] == [
        (t.state, t.spec, t.result and (t.result.weights_sha256, t.result.epochs))
        for t in second.trials
    ]
    for one, other in zip(first.trials, second.trials, strict=True):
        assert first.curve(one) == second.curve(other)
    assert first.counts()["pruned"] > 0
    assert order_of_ends(first) != order_of_ends(second)


def order_of_ends(history: StudyHistory) -> list[int]:
    ended = {t.number: t.started / 1000 + t.result.seconds for t in history.trials if t.result}
    return sorted(ended, key=ended.__getitem__)


HANGS = """
    import pathlib, time
    class Hanging(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 0:
                pathlib.Path(__file__).with_name("hangs").touch()
                time.sleep(1e6)
    return [Hanging()] if hp["units"] == 5 else []
"""


# A real worker is cut in `test_pool`; by which clock and with which reason, in `test_budget`.
@pytest.mark.exhaustive
def test_a_trial_that_hangs_is_cut_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that runs for four seconds from when it hangs: others are not cut for a load."""
    passed = 0.0

    def now() -> float:
        nonlocal passed
        if (tmp_path / "hangs").exists():
            passed = min(passed + 0.25, 4.0)
        return passed

    monkeypatch.setattr("studies.running.driver.AwakeClock", lambda: AwakeClock(now))
    callbacks = f"def callbacks(hp):{HANGS}\n\nstudy = ks.Study("
    write_study(
        tmp_path,
        **{
            "study = ks.Study(": callbacks,
            "build=build,": "build=build, callbacks=callbacks, initial="
            '[{"units": units} for units in (5, 4)],',
        },
    )
    create_store(tmp_path / "kerastudy-store")
    told = kerastudy_here(
        tmp_path, "launch", "study.py", "--workers", "1", "--trial-timeout", "3s", "--json",
        "--trials", "2", "--engine", "random", "--verify", "off",
    )  # fmt: skip
    hung, *others = read(tmp_path).trials
    assert hung.state == "infeasible" and hung.result is not None
    assert hung.result.reason == "its time of 3 s was up, and its epoch did not end"
    assert as_json(told)["trials"]["complete"] == len(others) == 1


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
    return history_at(folder / "kerastudy-store", "folds")


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
