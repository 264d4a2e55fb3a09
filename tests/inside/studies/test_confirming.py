"""A tiny study confirmed once, and looked at from many sides; one whose process is killed."""

from __future__ import annotations

import dataclasses
import importlib.util
import math
import os
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import mlflow
import numpy as np
import pytest
from in_mlflow import InMlflow
from scipy.stats import beta
from scipy.stats import norm as normal
from scipy.stats import t as student
from stores import history_at
from user_commands import KERASTUDY, as_json, environment, kerastudy_here

import kerastudy as ks
from search_spaces import StoreLockedError, StudyError
from studies.champion import ConfirmOptions, confirm_study, make_plan
from studies.progress import NoProgress
from tracking.history import (
    StudyHistory,
    evaluations_on,
    read_confirmations,
    record_evaluation,
    study_verdict,
)
from tracking.journal import Fit
from tracking.records import Confirmation, Evaluation, TrialResult
from tracking.statistics import interval_text

STUDY = """
import numpy as np
import kerastudy as ks

random = np.random.default_rng(0)
x = random.normal(size=(300, 6)).astype("float32")
y = (x[:, 0] + x[:, 1] + random.normal(size=300) > 0).astype("int64")


def build(hp):
    import keras

    model = keras.Sequential(
        [
            keras.layers.Input((6,)),
            keras.layers.Dense(8, activation="relu"),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    optimizer = keras.optimizers.SGD(hp["learning_rate"])
    model.compile(optimizer, "binary_crossentropy", metrics=["accuracy"])
    return model


study = ks.Study(
    "확인 study",
    data=ks.datasets.arrays(
        x[:100], y[:100], validation=(x[100:200], y[100:200]), test=(x[200:], y[200:])
    ),
    build=build,
    space=ks.SearchSpace(ks.Float("learning_rate", 1e-3, 3.0, scale="log")),
    objective="val_accuracy",
    trials=6,
    epochs=2,
    batch_size=25,
    engine="optuna:random",
)
"""
NAME = "확인 study"
OPTIONS = ("--top", "4", "--budget", "6", "--executor", "in-process")


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a path with a space, a study, and its store."""
    folder = tmp_path_factory.mktemp("a folder")
    (folder / "study.py").write_text(STUDY, encoding="utf-8")
    options = ("--executor", "in-process", "--verify", "off", "--store", "store")
    kerastudy_here(folder, "launch", "study.py", *options)
    return folder


@pytest.fixture(scope="module")
def folder(launched: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, confirmed."""
    copied = tmp_path_factory.mktemp("confirmed") / "again"
    shutil.copytree(launched, copied)
    kerastudy_here(copied, "confirm", NAME, *OPTIONS, "--store", "store")
    return copied


@pytest.fixture
def copy(launched: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(launched, tmp_path / "copied"))


def history_in(folder: Path) -> StudyHistory:
    return history_at(folder / "store", NAME)


def study_in(folder: Path) -> Any:
    spec = importlib.util.spec_from_file_location("confirmed_study", folder / "study.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def found(folder: Path) -> Confirmation:
    (only,) = read_confirmations(history_in(folder))
    return only


def trainings_in(folder: Path) -> list[Fit]:
    return [fit for fit in history_in(folder).journal.fits() if fit.confirmation]


@pytest.mark.exhaustive
def test_new_seeds_are_shared_and_none_is_a_trials_own(folder: Path, found: Confirmation) -> None:
    history = history_in(folder)
    own = {trial.spec.seed for trial in history.trials}
    assert len({*found.seeds, *found.test_seeds}) == 2 + 5
    assert not own & {*found.seeds, *found.test_seeds}
    best = [trial.number for trial in history.top(4)]
    assert {racer.trial for racer in found.race} == set(best)
    assert sorted(len(racer.values) for racer in found.race) == [1, 1, 2, 2]


@pytest.mark.exhaustive
def test_the_best_under_new_seeds_wins(found: Confirmation) -> None:
    finalists = [racer for racer in found.race if len(racer.values) == 2]
    means = {racer.trial: np.mean(racer.values) for racer in finalists}
    assert means[found.winner] == max(means.values())
    assert found.reported == max(found.reported, *(racer.values[0] for racer in found.race))


def trained_by_hand(
    folder: Path, values: Any, seeds: Sequence[int]
) -> tuple[list[float], np.ndarray]:
    """The best validation accuracies, and which test samples are right, by Keras alone."""
    import keras

    made = study_in(folder)
    x, y = made.x, made.y
    # Traced once: each seed gets the weights of a model of its own.
    model = made.build(values)
    found, right = [], []
    for seed in seeds:
        keras.utils.set_random_seed(seed)
        model.set_weights(made.build(values).get_weights())
        model.optimizer.iterations.assign(0)
        best, weights = -1.0, None
        for epoch in (1, 2):
            order = ks.permutation(seed, epoch, 100)
            fitted = model.fit(
                x[:100][order],
                y[:100][order],
                shuffle=False,
                batch_size=25,
                initial_epoch=epoch - 1,
                epochs=epoch,
                validation_data=(x[100:200], y[100:200]),
                validation_batch_size=25,
                verbose=0,
            )
            value = fitted.history["val_accuracy"][0]
            if value > best:
                best, weights = value, model.get_weights()
        model.set_weights(weights)
        found.append(best)
        right.append((model.predict(x[200:], verbose=0)[:, 0] > 0.5) == y[200:])
    return found, np.array(right, float)


def interval_of(scores: np.ndarray, level: float) -> tuple[float, float, float]:
    """Mean, variance and quantile of scores of shape (seeds, samples)."""
    seeds, samples = scores.shape
    of_seeds = scores.mean(1).var(ddof=1) / seeds
    of_samples = scores.mean(0).var(ddof=1) / samples
    variance = of_seeds + of_samples
    freedom = variance**2 / (of_seeds**2 / (seeds - 1) + of_samples**2 / (samples - 1))
    return float(scores.mean()), variance, float(student.ppf((1 + level) / 2, freedom))


def test_the_verdict_is_that_of_models_trained_by_plain_keras(
    folder: Path, found: Confirmation
) -> None:
    history = history_in(folder)
    spec = history.trial(found.winner).spec
    assert found.default is not None and found.confirmed is not None and found.gain is not None
    both = []
    for values, validated in (
        (spec.values, None),
        (history.description.space.defaults(), found.default.values),
    ):
        trained, right = trained_by_hand(folder, values, found.test_seeds)
        if validated is not None:
            assert trained == list(validated)
        both.append(right)
    winner, default = both
    assert list(found.winner_on_test) == pytest.approx(winner.mean(1))
    assert list(found.default_on_test) == pytest.approx(default.mean(1))
    mean, variance, quantile = interval_of(winner, 0.95)
    # Half a sample more is counted, one on which all seeds agree.
    count, of_samples = winner.shape[1], winner.mean(0).var(ddof=1) / winner.shape[1]
    variance += 0.5 * (mean * (1 - mean) / count - of_samples) / count
    # As many samples as have that variance, fewer by the few degrees of freedom; Clopper, Pearson.
    samples = mean * (1 - mean) / variance * (normal.ppf(0.975) / quantile) ** 2
    hits = samples * mean
    bounds = beta.ppf(0.025, hits, samples - hits + 1), beta.ppf(0.975, hits + 1, samples - hits)
    assert (found.confirmed.low, found.confirmed.high) == pytest.approx(bounds)
    assert found.confirmed.value == pytest.approx(mean)
    # A sample more that only the winner has right, and one that only the default has.
    more = np.concatenate([winner - default, np.tile([1, -1], (len(winner), 1))], axis=1)
    mean, variance, quantile = interval_of(more, 0.95)
    half = quantile * math.sqrt(variance)
    assert (found.gain.value, found.gain.low, found.gain.high) == pytest.approx(
        ((winner - default).mean(), mean - half, mean + half)
    )
    assert (found.test_samples, found.readings) == (100, 1)


@pytest.mark.exhaustive
def test_trainings_of_the_race_are_those_of_plain_keras(folder: Path, found: Confirmation) -> None:
    racer = found.race[1]
    values = history_in(folder).trial(racer.trial).spec.values
    assert trained_by_hand(folder, values, found.seeds)[0] == list(racer.values)


def test_runs_are_below_the_study_and_named_readably(folder: Path, found: Confirmation) -> None:
    history = history_in(folder)
    shown = InMlflow(history)
    (parent,) = shown.of_kind("confirmation")
    assert parent in shown.below(shown.parent)
    trainings = shown.below(parent)
    assert len(trainings) == 6 + 10
    assert {run.info.status for run in [parent, *trainings]} == {"FINISHED"}
    first = next(racer for racer in found.race)
    name = f"#{first.trial} · seed 2 · val_accuracy {first.values[1]:.4g}"
    (named,) = [run for run in trainings if run.info.run_name == name]
    points = shown.points(named, "val_accuracy")
    assert max(value for _, value in points) == first.values[1] and len(points) == 2
    assert not list((history.files.folder / "confirming").glob("*"))


def test_no_command_takes_them_for_trials(folder: Path) -> None:
    shown = as_json(kerastudy_here(folder, "show", NAME, "--store", "store", "--json"))
    assert shown["trials"]["total"] == 6 and len(shown["all"]) == 6
    listed = as_json(kerastudy_here(folder, "list", "--store", "store", "--json"))
    assert "16" not in str(listed[0]["trials"] if isinstance(listed, list) else "")
    kerastudy_here(folder, "export", NAME, "--as", "csv", "--store", "store", "--output", "all.csv")
    assert len((folder / "all.csv").read_text().splitlines()) == 7
    kerastudy_here(folder, "doctor", "--store", "store")


def test_again_nothing_is_trained(folder: Path, found: Confirmation) -> None:
    done = kerastudy_here(folder, "confirm", NAME, *OPTIONS, "--store", "store", "--json")
    assert as_json(done)["uuid"] == found.uuid
    assert "nothing has changed since" in done.stderr
    text = kerastudy_here(folder, "confirm", NAME, *OPTIONS, "--store", "store").stdout
    assert text.startswith("Reported ") and max(map(len, text.splitlines())) <= 100
    assert len(evaluations_on(history_in(folder).store, found.test_digest)) == 1


def check_champion(folder: Path, found: Confirmation) -> None:
    """The registered model, by MLflow's client, is the winner's, with the verdict on it."""
    history = history_in(folder)
    shown = InMlflow(history)
    version = shown.client.get_model_version_by_alias(NAME, "champion")
    winner = history.trial(found.winner)
    assert version.tags["kerastudy.trial"] == str(found.winner)
    assert version.tags["kerastudy.promoted"] == "it won under new seeds"
    assert version.tags["kerastudy.verified"] == "model.fit, identical"
    told = study_verdict(history).text
    assert version.tags["kerastudy.verdict"] == told
    assert version.description.startswith("**Reported ")
    model = mlflow.keras.load_model(version.source)
    with h5py.File(history.files.checkpoint(winner.number)) as kept:
        saved = {array.tobytes() for array in arrays_in(kept)}
    assert {array.tobytes() for array in model.get_weights()} <= saved
    note = shown.parent.data.tags["mlflow.note.content"]
    assert f"champion: trial {found.winner}, it won under new seeds" in note


def arrays_in(group: Any) -> list[np.ndarray]:
    found: list[np.ndarray] = []
    group.visititems(lambda _, each: found.append(each[()]) if hasattr(each, "shape") else None)
    return found


def test_the_winner_is_the_champion(folder: Path, found: Confirmation, tmp_path: Path) -> None:
    check_champion(folder, found)
    copied = Path(shutil.copytree(folder, tmp_path / "promoted"))
    history = history_in(copied)
    left = next(t.number for t in history.top(6) if t.number not in {r.trial for r in found.race})
    store = ("--store", "store")
    told = kerastudy_here(copied, "promote", NAME, "--trial", str(left), *store).stdout
    assert found.confirmed is not None
    value, expected = history.trial(left).value, interval_text(found.confirmed)
    worth = (
        f"Trial {left} has a validation value of {value:.4g}, not confirmed. "
        f"Trial {found.winner} won under new seeds: expect {expected} from it."
    )
    assert worth.rstrip(".") in " ".join(told.split())
    # Launches and --keep leave what a person chose.
    kerastudy_here(copied, "launch", "study.py", "--executor", "in-process", *store)
    kerastudy_here(copied, "confirm", NAME, *OPTIONS, "--keep", *store)
    now = history_in(copied)
    assert now.champion is not None and now.champion.number == left
    version = InMlflow(now).client.get_model_version_by_alias(NAME, "champion")
    assert version.tags["kerastudy.verdict"] == worth
    assert version.description.startswith(f"**Trial {left} has ")
    shown = " ".join(kerastudy_here(copied, "show", NAME, *store).stdout.split())
    assert f"champion: trial {left}, promoted. {worth}" in shown
    # The next confirmation does not; and launches leave its winner.
    done = kerastudy_here(copied, "confirm", NAME, *OPTIONS, *store)
    assert "its winner becomes the champion" in done.stderr
    check_champion(copied, found)
    done = kerastudy_here(copied, "launch", "study.py", "--executor", "in-process", *store)
    assert history_in(copied).is_champion(now.trial(found.winner))


@pytest.mark.exhaustive
def test_a_kill_between_outcome_and_champion(
    folder: Path, found: Confirmation, tmp_path: Path
) -> None:
    copied = Path(shutil.copytree(folder, tmp_path / "killed"))
    other = next(r.trial for r in found.race if r.trial != found.winner)
    kerastudy_here(copied, "promote", NAME, "--trial", str(other), "--store", "store")
    process = subprocess.Popen(
        [*KERASTUDY, "confirm", NAME, *OPTIONS, "--store", "store"],
        cwd=copied,
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert any("registering trial" in line for line in iter(process.stderr.readline, ""))
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    champion = history_in(copied).champion
    assert champion is not None and champion.number == other
    confirm_study(history_in(copied), ConfirmOptions(top=4, budget=6), in_process=True)
    check_champion(copied, found)


def test_the_test_part_stays_sealed_if_asked(folder: Path, found: Confirmation) -> None:
    made = study_in(folder).study
    sealed = ks.confirm(made, top=4, budget=6, test=False, store=folder / "store", progress=False)
    # Nothing is trained: the race is recorded.
    assert len(trainings_in(folder)) == 16
    assert sealed.race == found.race
    assert sealed.confirmed is None and sealed.gain is None and sealed.test_seeds == ()
    assert "The test part was left sealed, as asked." in sealed.notes


@pytest.mark.exhaustive
def test_a_part_that_was_read_before_widens_the_interval(
    folder: Path, found: Confirmation, tmp_path: Path
) -> None:
    shutil.copytree(folder, tmp_path / "read")
    history = history_in(tmp_path / "read")
    other = Evaluation("another", "optuna:tpe", "", 3, 1, 100, found.test_digest, {}, time=1)
    record_evaluation(history, other)
    said: list[str] = []

    class Saying(NoProgress):
        def say(self, text: str) -> None:
            said.append(text)

    options = ConfirmOptions(top=3, budget=5)
    again = confirm_study(history, options, in_process=True, progress=Saying())
    assert again.readings == 3
    assert again.gain is not None and again.gain.level == pytest.approx(1 - 0.05 / 3)
    assert any("read 2 times before" in text and "98.3 %" in text for text in said)


class Interrupting(NoProgress):
    """Presses Ctrl-C when some trainings have ended."""

    def __init__(self, trainings: int) -> None:
        self._left = trainings

    def trial_ended(self, result: TrialResult, best: tuple[int, float] | None) -> None:
        self._left -= 1
        if not self._left:
            raise KeyboardInterrupt


def without_run(found: Confirmation) -> dict[str, Any]:
    kept = vars(found).copy()
    del kept["uuid"], kept["time"]
    return kept


@pytest.mark.exhaustive
def test_ctrl_c_loses_only_what_runs(copy: Path, found: Confirmation) -> None:
    history = history_in(copy)
    options = ConfirmOptions(top=4, budget=6)
    with pytest.raises(KeyboardInterrupt, match=r"^3 of 16 trainings are recorded; confirm again"):
        confirm_study(history, options, in_process=True, progress=Interrupting(3))
    (confirmation,) = history.journal.confirmations(history.search)
    assert confirmation.state == "interrupted"
    check_resumed(copy, found)


@pytest.mark.exhaustive
def test_a_kill_loses_only_what_runs(copy: Path, found: Confirmation) -> None:
    process = subprocess.Popen(
        [*KERASTUDY, "confirm", NAME, *OPTIONS, "--store", "store"],
        cwd=copy,
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    # In the middle of the trainings for the test part.
    assert any("seed 5 " in line for line in iter(process.stderr.readline, ""))
    with pytest.raises(StoreLockedError):
        confirm_study(history_in(copy), ConfirmOptions(top=4, budget=6), in_process=True)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    check_resumed(copy, found)


def check_resumed(folder: Path, found: Confirmation) -> None:
    """Resumes a confirmation: it ends as one without a break, and trains nothing twice."""
    options = ConfirmOptions(top=4, budget=6)
    resumed = confirm_study(history_in(folder), options, in_process=True)
    assert without_run(resumed) == without_run(found)
    history, trainings = history_in(folder), trainings_in(folder)
    assert len(history.journal.confirmations(history.search)) == 1
    assert "running" not in {fit.state for fit in trainings}
    ended = [fit.identity for fit in trainings if fit.result is not None]
    assert set(Counter(ended).values()) == {1}
    assert len(evaluations_on(history_in(folder).store, found.test_digest)) == 1


GUARD = """
import keras


class Guard(keras.layers.Layer):
    # It fails where samples are scored one by one, not in Keras's functions.
    def call(self, x):
        if hasattr(x, "numpy") and x.numpy().max() > 100:
            raise ValueError("a sample is out of range")
        return x

"""


def test_a_winner_whose_test_samples_cannot_be_scored_is_a_result(tmp_path: Path) -> None:
    text = STUDY.replace("\n\ndef build(hp):", f"x[250] = 1000\n{GUARD}\ndef build(hp):")
    text = text.replace("keras.layers.Input((6,)),", "keras.layers.Input((6,)), Guard(),")
    (tmp_path / "study.py").write_text(text, encoding="utf-8")
    options = ("--executor", "in-process", "--verify", "off", "--store", "store")
    kerastudy_here(tmp_path, "launch", "study.py", "--trials", "2", *options)
    command = ("confirm", NAME, "--top", "2", "--budget", "2", "--executor", "in-process")
    done = kerastudy_here(tmp_path, *command, "--store", "store")
    history = history_in(tmp_path)
    (outcome,) = read_confirmations(history)
    assert outcome.confirmed is None and outcome.winner_on_test == () and len(outcome.race) == 2
    (why,) = [note for note in outcome.notes if "The test part gives no value" in note]
    assert f"scored by the model of trial {outcome.winner}: " in why
    assert "a sample is out of range" in why and "gives no value" in " ".join(done.stdout.split())
    # Whoever saw why has read something of it.
    (reading,) = evaluations_on(history.store, history.description.data.digests["test"])
    assert reading.confirmation == outcome.uuid and not reading.metrics
    assert history.champion is not None and history.champion.number == outcome.winner


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"budget": 5}, "A budget of 5 trainings is too small for a race of 6 trials, which needs"),
        ({"top": 1}, "top must be a whole number of at least 2. Received: 1."),
        ({"top": 0}, "top must be a whole number of at least 2. Received: 0."),
        ({"seeds": 4}, "seeds must be a whole number of at least 5"),
        ({"budget": 0}, "budget must be a whole number of at least 1"),
        ({"workers": 0}, "workers must be a whole number of at least 1"),
        ({"workers": 2, "executor": "in-process"}, "takes no number of workers"),
        ({"executor": "elsewhere"}, "executor must be"),
    ],
)
def test_wrong_options_are_refused_at_once(
    launched: Path, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(StudyError, match=told):
        ks.confirm(NAME, store=launched / "store", progress=False, **options)


def test_studies_without_a_choice_are_refused(launched: Path) -> None:
    history = history_in(launched)
    failed = [
        trial.with_result(TrialResult(trial.number, "infeasible")) for trial in history.trials
    ]
    for trials, told in (
        ([], "it has no trials"),
        (failed, "all of its 6 trials are infeasible"),
        (history.trials[:1], "only one of its trials has a value"),
    ):
        with pytest.raises(StudyError, match=told):
            make_plan(dataclasses.replace(history, trials=tuple(trials)), ConfirmOptions())
