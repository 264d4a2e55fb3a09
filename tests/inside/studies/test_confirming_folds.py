"""A cross-validated study that is confirmed: each number again by plain Keras, numpy and scipy."""

from __future__ import annotations

import dataclasses
import importlib.util
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from in_mlflow import InMlflow
from scipy.stats import beta
from scipy.stats import norm as normal
from scipy.stats import t as student
from sklearn.model_selection import StratifiedKFold, train_test_split
from stores import history_at
from user_commands import as_json, kerastudy_here

import kerastudy as ks
from studies.champion import DEFAULTS, ConfirmOptions, confirm_study, make_plan, not_paired
from studies.definition import fold_seed
from studies.progress import NoProgress
from tracking.history import StudyHistory, read_evaluations
from tracking.journal import Fit
from tracking.records import Confirmation, TrialResult

STUDY = '''
"""Two classes that are hard to tell apart."""
import keras
import numpy as np

import kerastudy as ks

random = np.random.default_rng(0)
X = random.normal(size=(150, 6)).astype("float32")
Y = (X[:, 0] + X[:, 1] + random.normal(size=150) > 0).astype("int64")


def build(hp):
    model = keras.Sequential([
        keras.layers.Input((6,)),
        keras.layers.Dense(hp["units"], activation="relu"),
        keras.layers.Dense(1, activation="sigmoid"),
    ])
    model.compile(keras.optimizers.SGD(hp["rate"]), "binary_crossentropy", metrics=["accuracy"])
    return model


study = ks.Study(
    "folds",
    data=ks.datasets.arrays(X, Y, test=60),
    build=build,
    space=ks.SearchSpace(
        ks.Float("rate", 1e-3, 3.0, scale="log", default=0.01), ks.Choice("units", [4, 8])
    ),
    objective="val_accuracy",
    engine="optuna:random",
    trials=3,
    epochs=3,
    batch_size=15,
    cross_validation=3,
)
'''
OPTIONS = ConfirmOptions(top=2, budget=4)


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("confirmed folds")
    (folder / "study.py").write_text(STUDY)
    options = ("--executor", "in-process", "--verify", "off", "--no-report", "--store", "store")
    kerastudy_here(folder, "launch", "study.py", *options)
    return folder


def history_in(folder: Path) -> StudyHistory:
    return history_at(folder / "store", "folds")


@pytest.fixture(scope="module")
def raced(launched: Path) -> Confirmation:
    """A race of two trials under one new seed, and no more."""
    options = ConfirmOptions(top=2, budget=2, test=False)
    return confirm_study(history_in(launched), options, in_process=True)


@pytest.fixture(scope="module")
def folder(launched: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    copied = Path(shutil.copytree(launched, tmp_path_factory.mktemp("done") / "with space"))
    command = ("confirm", "folds", "--top", "2", "--budget", "4", "--executor", "in-process")
    kerastudy_here(copied, *command, "--store", "store")
    return copied


@pytest.fixture(scope="module")
def found(folder: Path) -> Confirmation:
    history = history_in(folder)
    before = len(trainings_in(history))
    again = confirm_study(history, OPTIONS, in_process=True)
    assert len(trainings_in(history)) == before >= 4 * 3 + 10, "nothing is trained again"
    return again


def trainings_in(history: StudyHistory) -> list[Fit]:
    return [fit for fit in history.journal.fits() if fit.confirmation]


@pytest.fixture(scope="module")
def made(launched: Path) -> Any:
    spec = importlib.util.spec_from_file_location("confirmed_folds", launched / "study.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class ByHand:
    """Trains by Keras alone, on indices of scikit-learn's splitters."""

    def __init__(self, made: Any) -> None:
        self.made, self.models = made, dict[int, Any]()
        indices = np.arange(150)
        self.pool, self.test = train_test_split(
            indices, test_size=60, train_size=90, random_state=0, stratify=made.Y
        )
        splitter = StratifiedKFold(3, shuffle=True, random_state=0)
        split = splitter.split(self.pool, made.Y[self.pool])
        self.folds = [(self.pool[train], self.pool[held]) for train, held in split]

    def trained(self, values: Any, seed: int, train: Any, epochs: int) -> list[list[np.ndarray]]:
        """Returns the weights after each epoch."""
        import keras

        x, y = self.made.X[train], self.made.Y[train]
        keras.utils.set_random_seed(seed)
        fresh = self.made.build(values)
        # Traced once for each number of units.
        model = self.models.setdefault(values["units"], fresh)
        model.set_weights(fresh.get_weights())
        model.optimizer.learning_rate = values["rate"]
        model.optimizer.iterations.assign(0)
        found = []
        for epoch in range(1, epochs + 1):
            order = ks.permutation(seed, epoch, len(train))
            model.fit(x[order], y[order], batch_size=15, shuffle=False, verbose=0)
            found.append(model.get_weights())
        return found

    def right(self, values: Any, weights: list[np.ndarray], samples: Any) -> np.ndarray:
        """Returns which samples are classified correctly."""
        model = self.models[values["units"]]
        model.set_weights(weights)
        predicted = np.asarray(model(self.made.X[samples]))[:, 0] > 0.5
        return np.asarray(predicted == self.made.Y[samples], float)

    def cross_validated(self, values: Any, seed: int) -> float:
        """Returns the value under one new seed."""
        of_epochs = []
        for fold, (train, held) in enumerate(self.folds):
            epochs = self.trained(values, fold_seed(seed, fold), train, 3)
            of_epochs.append([self.right(values, weights, held) for weights in epochs])
        means = [np.mean([fold[e].mean() for fold in of_epochs]) for e in range(3)]
        return float(max(means))

    def on_test(self, values: Any, seeds: Any, epochs: int) -> np.ndarray:
        """Returns which test samples are right after training on all of the pool, by seed."""
        found = [self.trained(values, seed, self.pool, epochs)[-1] for seed in seeds]
        return np.array([self.right(values, weights, self.test) for weights in found])


@pytest.fixture(scope="module")
def by_hand(made: Any) -> ByHand:
    return ByHand(made)


@pytest.mark.exhaustive
@pytest.mark.parametrize(("which", "seeds"), [("raced", 1), ("found", 2)])
def test_the_race_is_that_of_folds_under_new_seeds_by_plain_keras(
    launched: Path, by_hand: ByHand, which: str, seeds: int, request: pytest.FixtureRequest
) -> None:
    history, found = history_in(launched), request.getfixturevalue(which)
    assert {racer.trial for racer in found.race} == {t.number for t in history.top(2)}
    assert [len(racer.values) for racer in found.race] == [seeds, seeds]
    own = {fold.seed for trial in history.ended for fold in trial.result.repeats}
    assert not own & {fold_seed(seed, fold) for seed in found.seeds for fold in range(3)}
    # Both where both have two seeds: it takes seconds.
    for racer in found.race[:seeds]:
        values = history.trial(racer.trial).spec.values
        trained = [by_hand.cross_validated(values, seed) for seed in found.seeds]
        assert trained == pytest.approx(list(racer.values), abs=1e-7)
    first, second = found.race
    assert found.winner == first.trial
    assert np.mean(first.values) >= np.mean(second.values)


@pytest.mark.exhaustive
def test_without_a_trial_of_the_defaults_there_is_no_gain(launched: Path) -> None:
    history = history_in(launched)
    left = dataclasses.replace(history, trials=history.trials[1:])
    plan = make_plan(left, OPTIONS)
    assert plan.test_trainings(DEFAULTS) == [] and plan.trainings == 4 * 3 + 5
    assert [each.spec.fold for each in plan.test_trainings(plan.racers[0].number)] == [-1] * 5
    assert "so the epoch to train them for is not known" in not_paired(plan, {1: {}})


@pytest.mark.exhaustive
def test_the_test_part_is_read_by_models_trained_on_all_folds_for_the_common_best_epoch(
    folder: Path, found: Confirmation, by_hand: ByHand
) -> None:
    history = history_in(folder)
    winner, default = history.trial(found.winner), history.trial(0)
    assert default.spec.values == history.description.space.defaults()
    assert winner.epoch is not None and default.epoch is not None
    assert found.confirmed is not None and found.gain is not None
    right = by_hand.on_test(winner.spec.values, found.test_seeds, winner.epoch)
    assert list(found.winner_on_test) == pytest.approx(right.mean(1))
    other = by_hand.on_test(default.spec.values, found.test_seeds, default.epoch)
    assert list(found.default_on_test) == pytest.approx(other.mean(1))
    mean, variance, quantile = interval_of(right)
    # Half a sample more is counted, one on which all seeds agree.
    count, of_samples = right.shape[1], right.mean(0).var(ddof=1) / right.shape[1]
    variance += 0.5 * (mean * (1 - mean) / count - of_samples) / count
    # As many samples as have that variance, fewer by the few degrees of freedom; Clopper, Pearson.
    samples = mean * (1 - mean) / variance * (normal.ppf(0.975) / quantile) ** 2
    hits = samples * mean
    bounds = beta.ppf(0.025, hits, samples - hits + 1), beta.ppf(0.975, hits + 1, samples - hits)
    assert (found.confirmed.low, found.confirmed.high) == pytest.approx(bounds)
    # A sample more that only the winner has right, and one that only the default has.
    more = np.concatenate([right - other, np.tile([1, -1], (len(right), 1))], axis=1)
    mean, variance, quantile = interval_of(more)
    half = quantile * math.sqrt(variance)
    assert (found.gain.value, found.gain.low, found.gain.high) == pytest.approx(
        ((right - other).mean(), mean - half, mean + half)
    )
    assert (found.test_samples, found.readings) == (60, 1)
    (reading,) = read_evaluations(history)
    assert reading.confirmation == found.uuid
    assert reading.metrics["accuracy"].validation == winner.value


def interval_of(scores: np.ndarray) -> tuple[float, float, float]:
    """Mean, variance and quantile of scores of shape (seeds, samples)."""
    seeds, samples = scores.shape
    of_seeds = scores.mean(1).var(ddof=1) / seeds
    of_samples = scores.mean(0).var(ddof=1) / samples
    variance = of_seeds + of_samples
    freedom = variance**2 / (of_seeds**2 / (seeds - 1) + of_samples**2 / (samples - 1))
    return float(scores.mean()), variance, float(student.ppf(0.975, freedom))


@pytest.mark.exhaustive
def test_what_people_read_of_it(folder: Path, found: Confirmation) -> None:
    history = history_in(folder)
    names = {str(run.info.run_name) for run in InMlflow(history).runs}
    assert any(name.startswith(f"#{found.winner} · seed 1 · fold 3 · val_acc") for name in names)
    whole = f"#{found.winner} · seed 3 · all folds · complete"
    assert whole in names, "on all folds it has no value"
    shown = kerastudy_here(folder, "show", "folds", "--store", "store", COLUMNS="80").stdout
    assert "60 test samples" in " ".join(shown.split())
    assert "kerastudy confirm" not in shown, "it is confirmed"
    command = ("confirm", "folds", "--top", "2", "--budget", "4", "--store", "store", "--json")
    again = as_json(kerastudy_here(folder, *command))
    assert again["uuid"] == found.uuid and again["corrected"]["samples"] == 90


class Interrupting(NoProgress):
    """Presses Ctrl-C when some trainings have ended."""

    left = 5

    def trial_ended(self, result: TrialResult, best: tuple[int, float] | None) -> None:
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


@pytest.mark.exhaustive
def test_ctrl_c_loses_only_what_runs(launched: Path, found: Confirmation, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(launched, tmp_path / "copied"))
    before = len(trainings_in(history_in(copy)))
    with pytest.raises(KeyboardInterrupt, match=r"^[0-9]+ of 22 trainings are recorded"):
        confirm_study(history_in(copy), OPTIONS, in_process=True, progress=Interrupting())
    resumed = confirm_study(history_in(copy), OPTIONS, in_process=True)
    ended = [fit for fit in trainings_in(history_in(copy)) if fit.result is not None]
    assert len(ended) == 22
    assert before in (0, 6), "those of a race before are not run twice"
    same = ("race", "winner", "confirmed", "gain", "winner_on_test", "readings")
    assert [getattr(resumed, n) for n in same] == [getattr(found, n) for n in same]
