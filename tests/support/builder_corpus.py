"""Launches the studies of tests/builders/styles.py in this process, and runs trials again."""

import contextlib
import gc
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import tensorflow as tf
from scripted import run_study

import kerastudy as ks
from studies.executors import InProcessExecutor, Session
from studies.training import prepare_environment, remember_settings
from studies.user_code import load_study, resolve_target
from tracking.records import Decision, EpochResult, TrialRecord, TrialTask

STYLES = Path(__file__).parents[1] / "builders" / "styles.py"


@cache
def session(style: str) -> Session:
    """Loads a style's study once for all engines.

    To find the space, a user's own `fit` trains a few samples. TensorFlow would trace it first,
    which takes seconds.
    """
    with without_tracing():
        prepare_environment(1)
        study, code = load_study(resolve_target(f"{STYLES}:{style}"))
        return Session.open(study, code, study.threads)


def run(style: str, engine: str, store: Path, trials: int) -> ks.StudyResults:
    """Launches a style. The study is named after the style and the engine."""
    ready = session(style)
    name = f"{style} by {engine.replace(':', ' ')}"
    described = replace(ready.description, engine=engine, name=name, trials=trials)
    if tf.config.functions_run_eagerly():
        # Steps are slow then, so each epoch has only one.
        described = replace(described, batch_size=64)
    executor = InProcessExecutor(replace(ready, description=described))
    # A builder that calls Keras's clear_session makes Python collect garbage. Frozen objects are
    # left out.
    gc.freeze()
    return ks.StudyResults.of(run_study(executor, store=store))


@contextlib.contextmanager
def without_tracing() -> Iterator[None]:
    """Makes TensorFlow run functions eagerly, as tracing takes most of a small trial's time."""
    before = tf.config.functions_run_eagerly()
    _run_eagerly(True)
    try:
        yield
    finally:
        _run_eagerly(before)


def _run_eagerly(eagerly: bool) -> None:
    tf.config.run_functions_eagerly(eagerly)
    # Each trial begins with the remembered settings.
    remember_settings()


def check_same_again(
    style: str, history: ks.StudyResults, trial: TrialRecord, folder: Path
) -> None:
    """Runs a trial again from its first epoch. Fails if a metric or the best weights differ."""
    epochs: dict[int, Mapping[str, float]] = {}

    def on_epoch(epoch: EpochResult) -> Decision:
        epochs[epoch.epoch] = epoch.metrics
        return "continue"

    task = TrialTask(trial.spec, history.description.space, folder / "again.weights.h5")
    result = session(style).run(task, on_epoch)
    assert epochs
    assert history.curve(trial) == epochs
    assert result.weights_sha256 == trial.result.weights_sha256
