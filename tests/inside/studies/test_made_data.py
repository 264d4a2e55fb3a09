"""Data, and class weights, that functions of hyperparameters make for each trial."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import mlflow
import numpy as np
import pytest
from conformance.models import by_hand

import kerastudy as ks
from search_spaces import Hyperparameters, StudyChangedError, StudyError
from studies.commands import study_document, study_text
from studies.data import Dataset, StreamedDataset
from studies.training import DATA_SETS_KEPT, MadeData
from tracking.history import StudyHistory

SERIES = np.random.default_rng(0).normal(size=72).astype("float32").cumsum()
SPACE = ks.SearchSpace(ks.Int("window", 3, 9), ks.Float("rate", 0.001, 0.1))
LAST = 16
"""Validated on, whatever the window: so values compare."""


def windowed(window: int, series: np.ndarray = SERIES) -> Dataset:
    x = np.lib.stride_tricks.sliding_window_view(series, window)[:-1]
    y = series[window:]
    return ks.datasets.arrays(
        x[:-LAST],
        y[:-LAST],
        validation=(x[-LAST:], y[-LAST:]),
        test=None,
        preprocess="standardize",
    )


def batches(window: int) -> StreamedDataset:
    parts = windowed(window).load()

    def train() -> Any:
        yield parts.train.x, parts.train.y

    def validation() -> Any:
        yield parts.validation.x, parts.validation.y

    return ks.datasets.batches(train, validation)


def make_data(hp: Any) -> Dataset:
    window = hp.Int("window", 3, 9)
    if window == 7:
        raise ValueError("no seven")
    return windowed(window)


def build(hp: Any) -> keras.Model:
    model = keras.Sequential([keras.layers.Input((hp["window"],)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(hp.Float("rate", 0.001, 0.1)), "mse")
    return model


def study(**fields: Any) -> ks.Study:
    fields = {
        "data": make_data,
        "build": build,
        "trials": 3,
        "epochs": 2,
        "batch_size": 16,
        "initial": [{}, {"window": 9}, {"window": 9, "rate": 0.05}, {"window": 7}],
        **fields,
    }
    return ks.Study("windows", **fields)


def launch(folder: Path, made: ks.Study, **options: Any) -> StudyHistory:
    return made.launch(store=folder / "store", progress=False, **options)


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, StudyHistory]:
    folder = tmp_path_factory.mktemp("made")
    return folder, launch(folder, study(trials=4), verify="full")


def test_each_trial_trains_on_its_own_data_as_by_hand(launched: tuple[Path, StudyHistory]) -> None:
    _, history = launched
    assert [trial.spec.values["window"] for trial in history.trials] == [3, 9, 9, 7]
    *trials, spoilt = history.trials
    assert spoilt.result is not None and spoilt.state == "infeasible"
    assert "its data can't be made: ValueError: no seven (test_made" in spoilt.result.reason
    for trial in trials:
        assert trial.result is not None and trial.best is not None
        assert trial.result.trainer == "compiled"
        values = trial.spec.values
        splits = windowed(values["window"]).load()
        assert trial.data_digest == splits.digest
        if trial.number == 1:
            # The next one is trained by its program.
            continue
        made = Hyperparameters(history.description.space, values)
        metrics, _ = by_hand(lambda hp, made=made: build(made), splits, trial.spec)
        assert dict(trial.best.metrics) == metrics[trial.best.epoch - 1]
    digests = [trial.data_digest for trial in history.trials]
    assert digests[0] == history.description.data.digest == history.trials[2].spec.data_digest
    assert digests[1] == digests[2] != digests[0]


def test_the_record_has_the_space_of_the_data_and_the_champion_takes_its_samples(
    launched: tuple[Path, StudyHistory],
) -> None:
    _, history = launched
    description, best = history.description, history.best
    assert description.space.names == ("window", "rate")
    assert description.unread == () and description.warnings == ()
    assert dict(description.data.sizes) == {"train": 53, "validation": LAST}
    text = study_text(history)
    assert "made by    make_data(hp)" in text and "do not compare" not in text
    assert study_document(history)["data"]["validation_parts"] == 1
    assert best is not None and best.best is not None
    assert best.verified == "model.fit, identical"
    # The champion takes samples as they were before preprocessing.
    mlflow.set_tracking_uri(history.store.mlflow_uri)
    model = ks.load_model("windows", store=history.store.root)
    x = np.lib.stride_tricks.sliding_window_view(SERIES, best.spec.values["window"])[:-1][-LAST:]
    loss = np.mean((model.predict(x, verbose=0)[:, 0] - SERIES[-LAST:]) ** 2)
    assert loss == pytest.approx(best.best.metrics["val_loss"], rel=1e-5)


@pytest.mark.exhaustive
def test_a_trial_is_reproduced_unless_its_data_has_changed(
    launched: tuple[Path, StudyHistory],
) -> None:
    _, history = launched
    again = study().reproduce(1, store=history.store.root, progress=False)
    assert again.identical and again.epochs == 2 and again.notes == ()
    # Of the default values' data, all is the same.
    changed = study(data=lambda hp: windowed(w := hp.Int("window", 3, 9), SERIES + (w > 3)))
    other = changed.reproduce(1, store=history.store.root, progress=False)
    assert not other.identical
    assert any("the data of the trial has changed" in note for note in other.notes)
    # That says nothing of the trial, and the record was identical before.
    assert ks.read_study("windows", store=history.store.root).trial(1).holds


def test_it_goes_on_with_the_data_of_the_default_values_or_not_at_all(
    launched: tuple[Path, StudyHistory],
) -> None:
    folder, _ = launched
    with pytest.raises(StudyChangedError, match="the data differs"):
        launch(folder, study(data=lambda hp: windowed(hp.Int("window", 3, 9), SERIES + 1)))
    history = launch(folder, study(trials=5), verify="off")
    assert len(history.trials) == 5
    for trial in history.trials:
        if trial.state == "complete":
            assert trial.data_digest == windowed(trial.spec.values["window"]).load().digest


def test_batches_may_depend_on_hyperparameters_too(tmp_path: Path) -> None:
    options: Any = {"batch_size": 32, "trials": 2, "epochs": 1}
    made = study(data=lambda hp: batches(hp.Int("window", 3, 9)), **options)
    history = launch(tmp_path, made, verify="off")
    for trial in history.trials:
        assert trial.result is not None and trial.result.trainer == "plain"
        assert trial.data_digest == batches(trial.spec.values["window"]).load().digest
    assert history.best is not None and history.model_uri(history.best)


def test_only_the_last_few_data_sets_are_kept_by_what_was_read() -> None:
    calls: list[int] = []

    def data(hp: Any) -> Dataset:
        calls.append(hp["window"])
        return windowed(hp["window"])

    made = MadeData(study(data=data, space=SPACE))

    def load(window: int, rate: float = 0.01) -> Any:
        return made.of(Hyperparameters(SPACE, {"window": window, "rate": rate})).splits

    first = load(3)
    assert load(3, 0.05) is first, "trainers keep data by its object"
    for window in range(4, 4 + DATA_SETS_KEPT - 1):
        load(window)
    assert load(3) is first
    load(9)
    assert load(3) is first
    assert calls == [3, *range(4, 4 + DATA_SETS_KEPT - 1), 9]
    load(4)
    assert calls[-1] == 4, "used least recently"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"data": lambda hp: 1 / 0},
            "can't be made of the default hyperparameters: ZeroDivisionError: division by zero "
            "(test_made_data.py, line ",
        ),
        ({"data": lambda hp: SERIES}, "must return data from kerastudy.datasets"),
        (
            {"data": lambda hp: windowed(hp["windw"]), "space": SPACE},
            "'windw' is not in the search space",
        ),
        ({"data": lambda hp: batches(hp.Int("window", 3, 9))}, "batch_size=16 has no effect"),
        ({"class_weight": lambda hp: "even"}, "class_weight must be weights by class"),
        ({"class_weight": lambda hp: {1: 2.0}}, "needs targets that are classes"),
    ],
    ids=["raises", "no data", "unknown", "size", "no weights", "no classes"],
)  # fmt: skip
def test_what_is_wrong_for_the_default_values_is_told_before_anything_is_written(
    tmp_path: Path, fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(StudyError) as raised:
        launch(tmp_path, study(**fields))
    assert said in str(raised.value) and "\n" not in str(raised.value)
    assert not (tmp_path / "store").exists()
