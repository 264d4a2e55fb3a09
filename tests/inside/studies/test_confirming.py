"""Two tiny studies, one cross-validated, are confirmed: each number again by plain Keras."""

import dataclasses
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from runpy import run_path
from typing import Any

import mlflow
import numpy as np
import pytest
from in_mlflow import InMlflow
from sklearn.model_selection import StratifiedKFold, train_test_split
from stores import history_at
from study_record import weights_in
from user_commands import as_json, kerastudy_here

import kerastudy as ks
from search_spaces import StudyError
from studies import champion
from studies.definition import fold_seed
from studies.progress import NoProgress, Progress
from tracking.history import StudyHistory, evaluations_on, read_confirmations, read_evaluations
from tracking.journal import Fit
from tracking.records import Confirmation, TrialResult
from tracking.statistics import SampleScores, confirmed_value, gain

STUDIES = """
import keras
import numpy as np
import kerastudy as ks

random = np.random.default_rng(0)
x = random.normal(size=(300, 6)).astype("float32")
y = (x[:, 0] + x[:, 1] + random.normal(size=300) > 0).astype("int64")


def build(hp):
    layers = [
        keras.layers.Input((6,)), keras.layers.Dense(hp["units"], activation="relu"),
        keras.layers.Dense(1, activation="sigmoid"),
    ]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.SGD(hp["rate"]), "binary_crossentropy", metrics=["accuracy"])
    return model


def study(name, data, **settings):
    rate = ks.Float("rate", 1e-3, 3.0, scale="log", default=0.01)
    usual = {"build": build, "space": ks.SearchSpace(rate, ks.Choice("units", [4, 8])), "trials": 6,
             "objective": "val_accuracy", "engine": "optuna:random", "epochs": 2, "batch_size": 25}
    return ks.Study(name, data=data, **{**usual, **settings})


parts = {"validation": (x[100:200], y[100:200])}
plain = study("확인 study", ks.datasets.arrays(x[:100], y[:100], **parts, test=(x[200:], y[200:])))
folds = study("folds", ks.datasets.arrays(x[:150], y[:150], test=60), trials=3, epochs=3,
              batch_size=15, cross_validation=3)
"""
NAME = "확인 study"
HERE = ("--executor", "in-process", "--store", "store")
SETTINGS = ("--top", "4", "--budget", "6", *HERE)
OPTIONS = champion.ConfirmOptions(top=4, budget=6)
OF_FOLDS = champion.ConfirmOptions(top=2, budget=4)


def launch(folder: Path, *variables: str) -> Path:
    (folder / "study.py").write_text(STUDIES, encoding="utf-8")
    for variable in variables:
        kerastudy_here(folder, "launch", f"study.py:{variable}", "--verify", "off", *HERE)
    return folder


class Interrupting(NoProgress):
    """Presses Ctrl-C when some trainings have ended, or when a line says something."""

    def __init__(self, trainings: int = 0, at: str = " ") -> None:
        super().__init__()
        self.said: list[str] = []
        self._left, self._at = trainings, at

    def say(self, text: str) -> None:
        self.said.append(text)

    def wait(self, what: str) -> None:
        if what.startswith(self._at):
            raise KeyboardInterrupt

    def trial_ended(self, result: TrialResult, best: tuple[int, float] | None) -> None:
        self._left -= 1
        if not self._left:
            raise KeyboardInterrupt


def confirmed(
    folder: Path, progress: Progress, name: str = NAME, options: champion.ConfirmOptions = OPTIONS
) -> Confirmation:
    """Confirms a study in this process."""
    study = champion.RunnableStudy(history_in(folder, name), progress)
    return champion.confirm_study(study, options, in_process=True)


@pytest.fixture(scope="module")
def launched_plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder, whose path has a space, with the studies' file and the plain study's store."""
    return launch(tmp_path_factory.mktemp("a folder"), "plain")


@pytest.fixture(scope="module")
def folder(launched_plain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the folder with the plain study, confirmed after Ctrl-C."""
    copied = Path(shutil.copytree(launched_plain, tmp_path_factory.mktemp("confirmed") / "again"))
    with pytest.raises(KeyboardInterrupt, match=r"^9 of 16 trainings are recorded; confirm again"):
        confirmed(copied, Interrupting(9))
    history = history_in(copied)
    assert [row.state for row in history.journal.confirmations()] == ["interrupted"]
    kerastudy_here(copied, "confirm", NAME, *SETTINGS)
    return copied


@pytest.fixture(scope="module")
def outcome(folder: Path) -> Confirmation:
    (only,) = read_confirmations(history_in(folder))
    return only


def history_in(folder: Path, name: str = NAME) -> StudyHistory:
    return history_at(folder / "store", name)


def trainings_in(folder: Path, name: str = NAME) -> list[Fit]:
    journal = history_in(folder, name).journal
    return [fit for row in journal.confirmations() for fit in journal.fits(row.uuid)]


class ByHand:
    """Trains by Keras alone; models of equal units are traced once."""

    def __init__(self, folder: Path) -> None:
        self.module = run_path(str(folder / "study.py"))
        self.x, self.y, self.models = self.module["x"], self.module["y"], dict[int, Any]()

    def trained(
        self, values: Any, seed: int, train: Any, epochs: int, batch_size: int
    ) -> list[list[np.ndarray]]:
        """Returns the weights after each epoch."""
        import keras

        keras.utils.set_random_seed(seed)
        fresh = self.module["build"](values)
        model = self.models.setdefault(values["units"], fresh)
        model.set_weights(fresh.get_weights())
        model.optimizer.learning_rate = values["rate"]
        model.optimizer.iterations.assign(0)
        weights = []
        for epoch in range(1, epochs + 1):
            order = train[ks.permutation(seed, epoch, len(train))]
            x, y = self.x[order], self.y[order]
            model.fit(x, y, batch_size=batch_size, shuffle=False, verbose=0)
            weights.append(model.get_weights())
        return weights

    def right(self, values: Any, weights: list[np.ndarray], samples: Any) -> np.ndarray:
        """Returns which samples are classified correctly."""
        model = self.models[values["units"]]
        model.set_weights(weights)
        predicted = np.asarray(model(self.x[samples]))[:, 0] > 0.5
        return np.asarray(predicted == self.y[samples], float)

    def best(self, values: Any, seeds: Sequence[int]) -> tuple[list[float], np.ndarray]:
        """Returns the plain study's best accuracies, and which test samples are then right."""
        accuracies, tested = [], []
        for seed in seeds:
            epochs = self.trained(values, seed, np.arange(100), 2, 25)
            valued = [self.right(values, w, np.arange(100, 200)).mean() for w in epochs]
            accuracies.append(max(valued))
            weights = epochs[int(np.argmax(valued))]
            tested.append(self.right(values, weights, np.arange(200, 300)))
        return accuracies, np.array(tested)


@pytest.fixture(scope="module")
def by_hand(launched_plain: Path) -> ByHand:
    return ByHand(launched_plain)


def check_statistics(outcome: Confirmation, winner: np.ndarray, default: np.ndarray) -> None:
    """The intervals are those of these hits; `test_intervals` compares them with SciPy's."""
    assert list(outcome.winner_on_test) == pytest.approx(winner.mean(1))
    assert list(outcome.default_on_test) == pytest.approx(default.mean(1))
    scores = [SampleScores("val_accuracy", "mean", row, 1) for row in winner]
    expected = confirmed_value(scores, "max")[0], gain(winner, default, "max", hits=len(winner.T))
    for interval, other in zip((outcome.confirmed, outcome.gain), expected, strict=True):
        assert vars(interval) == pytest.approx(vars(other))
    assert (outcome.test_samples, outcome.readings) == (len(winner.T), 1)


def test_the_race_is_that_of_plain_keras_under_new_seeds(
    folder: Path, outcome: Confirmation, by_hand: ByHand
) -> None:
    history = history_in(folder)
    own = {trial.spec.seed for trial in history.trials}
    assert len({*outcome.seeds, *outcome.test_seeds} - own) == 2 + 5
    assert {racer.trial for racer in outcome.race} == {trial.number for trial in history.top(4)}
    assert [len(racer.values) for racer in outcome.race] == [2, 2, 1, 1]
    first, second = outcome.race[:2]
    assert outcome.winner == first.trial and np.mean(first.values) >= np.mean(second.values)
    values = history.trial(second.trial).spec.values
    assert by_hand.best(values, outcome.seeds)[0] == pytest.approx(second.values)


def test_the_verdict_is_that_of_models_trained_by_plain_keras(
    folder: Path, outcome: Confirmation, by_hand: ByHand
) -> None:
    history = history_in(folder)
    defaults = history.description.space.defaults()
    validated, default = by_hand.best(defaults, outcome.test_seeds)
    assert validated == pytest.approx(outcome.default.values)
    _, winner = by_hand.best(history.trial(outcome.winner).spec.values, outcome.test_seeds)
    check_statistics(outcome, winner, default)


@pytest.mark.exhaustive
def test_folds_are_confirmed_by_models_that_plain_keras_trains_on_all_of_them(
    by_hand: ByHand, tmp_path: Path
) -> None:
    launch(tmp_path, "folds")
    history, x, y = history_in(tmp_path, "folds"), by_hand.x, by_hand.y
    # If the trial of the defaults is missing, it is not known how long to train them.
    plan = champion.make_plan(dataclasses.replace(history, trials=history.trials[1:]), OF_FOLDS)
    assert plan.test_trainings(champion.DEFAULTS) == [] and plan.trainings == 4 * 3 + 5
    assert "so the number of epochs to train them is not known" in champion.not_paired(plan, {})
    with pytest.raises(KeyboardInterrupt, match=r"^5 of 22 trainings are recorded"):
        confirmed(tmp_path, Interrupting(5), "folds", OF_FOLDS)
    outcome = confirmed(tmp_path, NoProgress(), "folds", OF_FOLDS)
    ended = [fit for fit in trainings_in(tmp_path, "folds") if fit.result is not None]
    assert len(ended) == 22

    pool, test = train_test_split(
        np.arange(150), test_size=60, train_size=90, random_state=0, stratify=y[:150]
    )
    split = StratifiedKFold(3, shuffle=True, random_state=0).split(x[pool], y[pool])
    folds = [(pool[train], pool[held]) for train, held in split]
    own = {fold.seed for trial in history.ended for fold in trial.result.repeats}
    assert not own & {fold_seed(seed, fold) for seed in outcome.seeds for fold in range(3)}
    for racer in outcome.race:
        values = history.trial(racer.trial).spec.values
        accuracies = []
        for seed in outcome.seeds:
            means = []
            for fold, (train, held) in enumerate(folds):
                epochs = by_hand.trained(values, fold_seed(seed, fold), train, 3, 15)
                means.append([by_hand.right(values, w, held).mean() for w in epochs])
            accuracies.append(np.mean(means, axis=0).max())
        assert accuracies == pytest.approx(racer.values)
    both = []
    for trial in (history.trial(outcome.winner), history.trial(0)):
        values = trial.spec.values
        trained = [by_hand.trained(values, s, pool, trial.epoch, 15) for s in outcome.test_seeds]
        both.append(np.array([by_hand.right(values, epochs[-1], test) for epochs in trained]))
    assert values == history.description.space.defaults()
    check_statistics(outcome, *both)
    (reading,) = read_evaluations(history_in(tmp_path, "folds"))
    assert reading.confirmation == outcome.uuid
    assert reading.metrics["accuracy"].validation == history.trial(outcome.winner).value


def test_ctrl_c_loses_only_the_running_training(folder: Path, outcome: Confirmation) -> None:
    trainings = trainings_in(folder)
    assert "running" not in {fit.state for fit in trainings}
    ended = Counter(fit.identity for fit in trainings if fit.result is not None)
    assert len(ended) == 16 and set(ended.values()) == {1}
    assert [row.uuid for row in history_in(folder).journal.confirmations()] == [outcome.uuid]


def test_no_command_takes_trainings_for_trials(folder: Path, outcome: Confirmation) -> None:
    history = history_in(folder)
    assert not list((history.files.folder / "confirming").glob("*"))
    document = as_json(kerastudy_here(folder, "show", NAME, "--store", "store", "--json"))
    assert document["trials"]["total"] == 6 and len(document["all"]) == 6
    kerastudy_here(folder, "export", NAME, "--as", "csv", "--store", "store", "--output", "all.csv")
    assert len((folder / "all.csv").read_text().splitlines()) == 7
    kerastudy_here(folder, "doctor", "--store", "store")


def test_again_nothing_is_trained(folder: Path, outcome: Confirmation, tmp_path: Path) -> None:
    answer = kerastudy_here(folder, "confirm", NAME, *SETTINGS, "--json")
    assert as_json(answer)["uuid"] == outcome.uuid
    assert "nothing has changed since" in answer.stderr
    text = kerastudy_here(folder, "confirm", NAME, *SETTINGS).stdout
    assert text.startswith("Expect ") and max(map(len, text.splitlines())) <= 100
    # All models have the same size, and all trained as many epochs.
    (heading,) = [line.split() for line in text.splitlines() if line.startswith("trial")]
    assert heading == ["trial", "val_accuracy", "seeds"]
    copied = Path(shutil.copytree(folder, tmp_path / "copied"))
    study = run_path(str(folder / "study.py"))["plain"]
    sealed = ks.confirm(study, top=4, budget=6, test=False, store=copied / "store", progress=False)
    assert len(trainings_in(copied)) == 16, "the race is recorded"
    assert sealed.race == outcome.race
    assert sealed.confirmed is None and sealed.gain is None and sealed.test_seeds == ()
    assert "The test part was left sealed, as asked." in sealed.notes
    assert len(evaluations_on(history_in(copied).store, outcome.test_digest)) == 1


def test_the_winner_is_the_champion(folder: Path, outcome: Confirmation) -> None:
    """The registered model, by MLflow's client, is the winner's."""
    history = history_in(folder)
    in_mlflow = InMlflow(history)
    version = in_mlflow.champion
    assert version.tags["kerastudy.trial"] == str(outcome.winner)
    assert version.tags["kerastudy.promoted"] == "it won under new seeds"
    assert version.tags["kerastudy.verified"] == "model.fit, identical"
    weights = weights_in(history.files.checkpoint(outcome.winner))
    mlflow.keras.load_model(version.source).save_weights(folder / "served.weights.h5")
    served = weights_in(folder / "served.weights.h5")
    assert {digest for name, digest in served.items() if "optimizer" not in name} <= {
        *weights.values()
    }
    note = in_mlflow.parent.data.tags["mlflow.note.content"]
    assert f"champion: trial {outcome.winner}, it won under new seeds" in note


def test_a_champion_by_hand_stays_until_the_next_confirmation(
    launched_plain: Path, folder: Path, outcome: Confirmation, tmp_path: Path
) -> None:
    copied = Path(shutil.copytree(folder, tmp_path / "promoted"))
    history = history_in(copied)
    other_trial = next(
        t.number for t in history.top(6) if t.number not in {r.trial for r in outcome.race}
    )
    # This process loads the study in the recorded folder.
    promote = ("promote", NAME, "--trial", str(other_trial), "--store", copied / "store")
    text = kerastudy_here(launched_plain, *promote).stdout
    value, expected = history.trial(other_trial).value, outcome.confirmed.text()
    worth = (
        f"Trial {other_trial} has a validation value of {value:.4g}, not confirmed. "
        f"Trial {outcome.winner} won under new seeds: expect {expected} from it."
    )
    assert worth.rstrip(".") in " ".join(text.split())
    tags = InMlflow(history_in(copied)).champion.tags
    assert tags["kerastudy.trial"] == str(other_trial)
    # The next confirmation registers its winner, also if it is interrupted before it does so.
    with pytest.raises(KeyboardInterrupt):
        confirmed(copied, Interrupting(at="registering"))
    assert history_in(copied).is_champion(history.trial(other_trial))
    answer = kerastudy_here(copied, "confirm", NAME, *SETTINGS)
    assert "its winner becomes the champion" in answer.stderr
    tags = InMlflow(history_in(copied)).champion.tags
    assert tags["kerastudy.trial"] == str(outcome.winner)


def test_wrong_options_are_refused_at_once() -> None:
    """Others are refused in `commands/test_bad_input`."""
    for options, message in (
        ({"workers": 0}, "workers must be a whole number of at least 1"),
        ({"executor": "elsewhere"}, "executor must be"),
    ):
        with pytest.raises(StudyError, match=message):
            ks.confirm(NAME, progress=False, **options)
