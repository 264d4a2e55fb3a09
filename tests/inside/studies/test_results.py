"""What people get of a study: values, curves, tables, models, a study of Optuna's, predictions."""

import contextlib
import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from conformance.executor import STUDY_FILE
from exported import check_equal, rows
from in_mlflow import InMlflow
from scripted import ScriptedExecutor, describe, run_study
from stores import history_at
from study_file import study_text, write_study
from user_commands import kerastudy_here

import kerastudy as ks
from search_spaces import DataError, StudyError
from studies.results import Input, Inputs, predictions_table, read_inputs
from tracking.history import StudyHistory
from tracking.mlflow import to_mlflow
from tracking.records import TrialSpec
from tracking.study_summary import summary_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study, launched."""
    folder = tmp_path_factory.mktemp("results")
    text = STUDY_FILE.replace("작은 연구", "작은 & 연구")
    (folder / "study.py").write_text(text, encoding="utf-8")
    launch = ("launch", "study.py", "--verify", "off", "--executor", "in-process")
    kerastudy_here(folder, *launch)
    return folder


@pytest.fixture
def history(folder: Path) -> ks.StudyResults:
    return ks.read_study("작은 & 연구", store=folder / "kerastudy-store")


def test_the_best_of_all_curves_and_a_table_with_a_row_a_trial(history: ks.StudyResults) -> None:
    curves = {trial.number: trial.curve["val_loss"] for trial in history.trials}
    lowest = pd.DataFrame(curves).unstack()
    number, epoch = lowest.idxmin()
    assert (history.best.number, history.best.epoch) == (number, epoch)
    assert history.best.value == history.best_value == lowest.min()
    assert dict(history.best.params) == history.best_params
    assert set(history.best.params) == {"learning_rate", "dropout", "units"}
    assert list(history.best.curve.index) == [1, 2, 3]
    table = history.to_dataframe()
    assert list(table["number"]) == [0, 1, 2, 3]
    for trial, row in zip(history.trials, table.to_dict("records"), strict=True):
        assert row["value"] == row["metrics_val_loss"] == trial.curve["val_loss"].min()
        assert row["params_units"] == trial.params["units"]
        assert (row["state"], row["epochs"], row["seed"]) == ("complete", 3, trial.seed)
    assert table["started"].is_monotonic_increasing


def test_the_champion_predicts(history: ks.StudyResults) -> None:
    x, _ = _samples()
    part = ks.datasets.arrays(*_samples(), name="made up").load().validation
    scores = history.load_model().evaluate(part.x, part.y, verbose=0, return_dict=True)
    assert scores["loss"] == pytest.approx(history.best.value, rel=1e-6)
    np.testing.assert_array_equal(
        history.predict(x[:5]), history.best.load_model().predict(x[:5], verbose=0)
    )
    other = history.top(2)[1]
    with pytest.raises(ks.errors.TrackingError, match="count must be a whole number"):
        history.top("x")  # type: ignore[arg-type]
    history.files.checkpoint(other.number).unlink()
    again = other.load_model().evaluate(part.x, part.y, verbose=0, return_dict=True)
    assert again["loss"] == pytest.approx(other.value, rel=1e-6), "it is trained again"
    np.testing.assert_array_equal(history.predict(x[:5].tolist()), history.predict(x[:5]))
    for wrong, message in (
        (x[0], "'x' has samples of shape (): it is one sample, not an array of samples"),
        (x[:3, :2], "'x' has samples of shape (2,). The model takes float32 of shape ("),
        ([], "'x' has no samples"),
        (None, "'x' has no samples"),
        ({"a": [1]}, "'x' has samples of shape ()"),
        (x.astype(complex), "'x' has values of type complex128"),
        ([[1], [1, 2]], "'x' can't be read: "),
        (iter([x]), "The samples can't be predicted: "),
        ("new.npy", "For a file: kerastudy.predict('작은 & 연구', 'new.npy')"),
        (x.astype(str), "'x' has values of type <U32"),
        (pd.DataFrame(x[:3, :2]), "'x' has samples of shape (2,)"),
    ):
        with pytest.raises(ks.errors.DataError, match=re.escape(message)):
            history.predict(wrong)
    with pytest.raises(ks.errors.DataError, match=r"read_study\('작은 & 연구'\)\.predict\(x\)"):
        ks.predict("작은 & 연구", x)  # type: ignore[arg-type]


def test_all_print_in_a_line_and_as_escaped_html(history: ks.StudyResults) -> None:
    for value in (history, history.best, history.trials[0]):
        assert "\n" not in repr(value) and len(repr(value)) < 140
    assert f"val_loss {history.best.value:.6g} at epoch {history.best.epoch}" in repr(history)
    markup = history._repr_html_()
    assert "작은 &amp; 연구" in markup
    assert f"{history.best.value:.6g}" in markup
    assert f"{len(history.trials)} of {history.description.trials}: " in markup
    assert "learning_rate" in history.best._repr_html_()
    assert repr(history.verdict) == f"<verdict: {history.verdict.text}>"
    corrected = repr(history.verdict.corrected)
    assert "\n" not in corrected and len(corrected) < 80


def test_a_study_names_where_its_results_are(history: ks.StudyResults) -> None:
    assert history.best.metrics["val_loss"] == history.best.value
    assert "<html" in history.report().read_text(encoding="utf-8")
    study = ks.Study("a", data=ks.datasets.arrays(*_samples()), build=print)
    with pytest.raises(
        AttributeError, match=r"results in the store have it: \.history\(\)\.best_params"
    ):
        _ = study.best_params
    with pytest.raises(AttributeError, match=r"Did you mean 'to_dataframe'.*\.history\(\)"):
        _ = study.to_datafram
    with pytest.raises(AttributeError, match="'Study' has no attribute 'nothing'"):
        _ = study.nothing


def test_a_study_of_a_session_goes_on_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next step is a call that works in the session, also if a command was tried first."""
    monkeypatch.chdir(tmp_path)
    session: dict[str, Any] = {}
    text = study_text(trials="2", epochs="1", objective="'val_loss'")
    exec(compile(text, "<stdin>", "exec"), session)
    results = session["study"].launch(progress=False, verify="off", store="store")
    (step,) = summary_of(results).commands
    assert step.text == f"study.confirm(store={str(tmp_path / 'store')!r})"
    for command, number in (("confirm", None), ("evaluate", 0), ("promote", 0), ("reproduce", 1)):
        trial = () if number is None else ("--trial", str(number))
        error = kerastudy_here(
            tmp_path, command, "blobs", *trial, "--store", "store", expect=2
        ).last
        asked = f"study.{command}({'' if number is None else f'{number}, '}store="
        assert f"Call {asked}" in error and error.count("study.") == 1
    few = {"top": 2, "budget": 2, "test": False, "progress": False}
    confirmation = eval(step.text.replace(")", ", **few)"), session, {"few": few})
    assert results.confirm(**few) == confirmation, "it is recorded"
    promotion = results.promote(confirmation.winner, progress=False)
    assert any("study.promote(store=" in note for note in promotion.notes)
    lines = results.export("csv").read_text(encoding="utf-8").splitlines()
    assert [len(lines), lines[1].partition(",")[0]] == [3, "0"]
    again = ks.read_study("blobs", store="store")
    model = keras.models.load_model(again.export("keras"))
    x = np.ones((3, 4), "float32")
    np.testing.assert_array_equal(model.predict(x, verbose=0), again.predict(x))
    for wrong, options in (("excel", {}), ("csv", {"trial": 0}), ("script", {})):
        with pytest.raises(ks.errors.StudyError):
            results.export(wrong, **options)  # type: ignore[arg-type]


def test_a_definition_prints_in_a_line_and_with_its_space() -> None:
    data = ks.datasets.arrays(*_samples())
    space = ks.SearchSpace(ks.learning_rate(), ks.Choice("kind", ["<i>", "b"]))
    study = ks.Study("a & b", data=data, build=print, space=space, objective="val_loss")
    assert repr(study) == "<study 'a & b': val_loss, 2 hyperparameters, optuna:tpe, 20 trials>"
    markup = study._repr_html_()
    assert "a &amp; b" in markup and "&lt;i&gt;" in markup and "<i>" not in markup


def test_without_a_store_there_is_a_line(tmp_path: Path) -> None:
    assert ks.list_studies(tmp_path / "none") == []
    with pytest.raises(ks.errors.StudyNotFoundError, match="There is no store at"):
        ks.read_study("digits", store=tmp_path / "none")


@pytest.mark.parametrize("call", [ks.evaluate, ks.confirm, ks.list_studies])
def test_what_is_no_name_and_no_folder_is_refused(call: Any) -> None:
    with pytest.raises(ks.KerastudyError) as raised:
        call(3.5)
    assert raised.value.setting and raised.value.received == "3.5"


def test_dir_shows_what_is_public() -> None:
    datasets = set(dir(ks.datasets))
    assert set(dir(ks)) == set(ks.__all__)
    assert {"arrays", "batches", "digits", "npz"} <= datasets
    assert not {"annotations", "partial", "Path", "Any"} & datasets
    assert set(dir(ks.outputs)) == {"Output", "binary", "classes", "one_hot", "regression"}


def _samples() -> tuple[np.ndarray, np.ndarray]:
    """The study's data, made anew."""
    y = np.arange(150) % 3
    return (np.random.default_rng(0).normal(size=(150, 4)) + y[:, None]).astype("float32"), y


# A study's record as a study of Optuna's, compared with what MLflow shows.


@pytest.fixture(scope="module")
def launched_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve trials, some pruned, one infeasible, and a last one that was interrupted."""

    def before(spec: TrialSpec) -> None:
        if spec.number == 11:
            raise KeyboardInterrupt

    folder = tmp_path_factory.mktemp("made") / "store"
    description = describe(trials=12, pruner="median")
    with contextlib.suppress(KeyboardInterrupt):
        run_study(ScriptedExecutor(description, before, infeasible={3}), store=folder)
    return folder


def test_optuna_has_what_mlflow_has(launched_folder: Path, tmp_path: Path) -> None:
    history = history_at(launched_folder, "scripted")
    storage = f"sqlite:///{tmp_path}/optuna.db"
    study, stored = ks.export_optuna(history), ks.export_optuna(history, storage)
    assert (study.study_name, study.direction.name) == ("scripted", "MINIMIZE")
    assert study.metric_names == ["val_loss"]
    without_ids = [{**vars(trial), "_trial_id": None} for trial in study.trials]
    assert [{**vars(trial), "_trial_id": None} for trial in stored.trials] == without_ids
    states, in_mlflow = [], InMlflow(history)
    for number, trial in enumerate(study.trials):
        run = in_mlflow.run(trial.user_attrs["kerastudy_uuid"])
        assert run.data.tags["kerastudy.trial"] == str(number)
        points = in_mlflow.points(run, "val_loss") if "val_loss" in run.data.metrics else []
        assert trial.intermediate_values == dict(points)
        values = trial.values
        assert values == ([run.data.metrics["best_val_loss"]] if values else None)
        exact = json.loads(run.data.tags["kerastudy.hyperparameters"])
        assert trial.params.items() <= exact.items()
        assert trial.datetime_start.timestamp() * 1000 == pytest.approx(run.info.start_time)
        states.append((trial.state.name, run.data.tags["kerastudy.state"], values is None))
    assert states[3] == ("FAIL", "infeasible", True)
    assert "ValueError: no" in study.trials[3].user_attrs["reason"]
    assert states[11] == ("WAITING", "interrupted", True)
    others = set(states[:3] + states[4:11])
    assert others == {("COMPLETE", "complete", False), ("PRUNED", "pruned", False)}
    with pytest.raises(ks.errors.StudyError, match=r"has a study 'scripted' already"):
        ks.export_optuna(history, storage)


def test_a_study_without_trials_is_no_study_of_optunas(launched_folder: Path) -> None:
    history = dataclasses.replace(history_at(launched_folder, "scripted"), trials=())
    with pytest.raises(ks.errors.StudyError, match="no trials yet"):
        ks.export_optuna(history)


# Samples are read from files of any shape, and predictions are named by their loss.


def test_a_table_needs_names_of_columns(tmp_path: Path) -> None:
    one = (Input("", np.dtype("float32"), (2,)),)
    file = tmp_path / "x.csv"
    file.write_text("9;7\n0,5;1\n2,5;3\n")
    assert read_inputs(file, Inputs(("7", "9"), one))[0][""].tolist() == [[1, 0.5], [3, 2.5]]
    with pytest.raises(
        DataError, match=r"no column names: give an npz or npy file\. The model takes"
    ):
        read_inputs(file, Inputs((), one))
    texts = Inputs(("7",), (Input("", np.dtype(str), (1,)),))
    file.write_text("9,7\na,07\nb,NA or\n")
    assert read_inputs(file, texts)[0][""].tolist() == [["07"], ["NA or"]]


def test_columns_without_numbers_are_refused(tmp_path: Path) -> None:
    inputs = Inputs(("size", "age"), (Input("", np.dtype("float32"), (2,)),))
    file, numbers = tmp_path / "x.parquet", [1.5, 2.5]
    for others in (["a", "b"], pd.to_timedelta([1, 2], unit="s"), pd.to_datetime(["2026"] * 2)):
        pd.DataFrame({"size": numbers, "age": others}).to_parquet(file)
        with pytest.raises(DataError, match="has texts in the columns age"):
            read_inputs(file, inputs)
    for values in (pd.array([1, 2], dtype="Int64"), [True, False]):
        pd.DataFrame({"size": numbers, "age": values}).to_parquet(file)
        assert read_inputs(file, inputs)[0][""].tolist() == [[1.5, 1.0], [2.5, values[1]]]


def test_a_last_axis_of_size_1_may_be_missing(tmp_path: Path) -> None:
    inputs = Inputs((), (Input("", np.dtype("float32"), (4, 3, 1)),))
    file, images = tmp_path / "x.npy", np.arange(24).reshape(2, 4, 3)
    np.save(file, images)
    assert np.array_equal(read_inputs(file, inputs)[0][""], images[..., None])
    flat = Inputs((), (Input("", np.dtype("float32"), (4, None)),))
    assert np.array_equal(flat.all_fitted({"": images[..., None]}, file)[""], images)
    for samples, message in (
        (images[0, ..., None], r"of shape \(3, 1\): it is one sample, not an array of samples"),
        (images[:, :3], r"of shape \(3, 3\). The model takes float32 of shape \(4, 3, 1\)"),
    ):
        np.save(file, samples)
        with pytest.raises(DataError, match=message):
            read_inputs(file, inputs)


def test_several_inputs_and_texts(tmp_path: Path) -> None:
    several = Inputs(
        (), (Input("words", np.dtype(str), ()), Input("numbers", np.dtype("float32"), (2,)))
    )
    file, words, numbers = tmp_path / "several.npz", np.array(["=a", "b"]), np.ones((2, 2))
    np.savez(file, words=words, numbers=numbers, more=words)
    arrays, _ = read_inputs(file, several)
    assert arrays["words"].tolist() == ["=a", "b"] and arrays["numbers"].shape == (2, 2)
    for content, message in (
        ({"words": words}, r"lacks 'numbers'. The model takes words: texts of shape"),
        ({"words": words[:1], "numbers": numbers}, r"different numbers of samples: \[1, 2\]"),
    ):
        np.savez(file, **content)
        with pytest.raises(DataError, match=message):
            read_inputs(file, several)
    np.save(tmp_path / "x.npy", numbers)
    with pytest.raises(DataError, match="has one array: give an npz file"):
        read_inputs(tmp_path / "x.npy", several)


LOGITS = keras.losses.BinaryCrossentropy(from_logits=True)
TWO = [[-2.0], [3.0]]
BINARY = ("bce", "BinaryCrossentropy", keras.losses.binary_crossentropy)


@pytest.mark.parametrize(
    ("loss", "predictions", "names", "expected"),
    [
        (LOGITS, TWO, ["no", "-yes"], {"class": ["no", "-yes"]}),
        ({"out": LOGITS}, TWO, ["no", "-yes"], {"class": ["no", "-yes"]}),
        *((loss, [[0.2], [0.9]], (), {"class": ["0", "1"]}) for loss in BINARY),
        ("mse", TWO, (), {"prediction": [-2, 3]}),
        ("sparse_categorical_crossentropy", np.eye(3)[[2, 0]], (), {"class": ["2", "0"]}),
        (
            {"a": "mse", "b": "bce"},
            {"a": np.array(TWO), "b": np.array([[0.2], [0.9]])},
            {"b": ["x", "y"]},
            {"a prediction": [-2, 3], "b class": ["x", "y"]},
        ),
    ],
)
def test_predictions_by_their_loss(loss: Any, predictions: Any, names: Any, expected: Any) -> None:
    predictions = predictions if isinstance(predictions, dict) else np.array(predictions, "float32")
    units = predictions.shape[1] if isinstance(predictions, np.ndarray) else 1
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(units, name="out")])
    model.compile("sgd", loss=loss)
    classes = predictions_table(model, predictions, names, probabilities=False)
    assert {column: values.tolist() for column, values in classes.items()} == expected
    table = predictions_table(model, predictions, names, probabilities=True)
    assert {column: table[column].tolist() for column in expected} == expected
    if loss is LOGITS:
        assert np.allclose(table["probability_-yes"], 1 / (1 + np.exp([2.0, -3.0])))
    weighted: dict[str, Any] = {"probabilities": False, "target": "y", "class_weight": {1: 99.0}}
    if expected.keys() == {"class"} and units == 1:
        # With the weights, 0.9 stands for a probability of 1 / 12.
        below = predictions_table(model, predictions, names, threshold=0.4, **weighted)
        assert below["y"].tolist() == [expected["class"][0]] * 2
        above = predictions_table(model, predictions, names, threshold=0.08, **weighted)
        assert above["y"].tolist() == expected["class"]
    else:
        with pytest.raises(StudyError, match=r"for a model of two classes\. Received: 0\.4"):
            predictions_table(model, predictions, names, threshold=0.4, **weighted)


# Metrics and hyperparameters keep their names in the record; MLflow alone gets its spelling.

LONG = "a name of 400 characters " + 375 * "n"
LOGGED = ["100 %", "정확도", "a/b", "../a", "a: b", LONG + "1", "late " + 40 * "🐝"]
NAMES = {*LOGGED, LONG, f"val_{LONG}", "loss", "val_loss"}
# MLflow gets them cut, and apart.
RATES = ["속도 %/a: " + LONG, "속도 %/a: " + LONG + "1"]
IMPORTS = f"""import keras

LONG, LOGGED, RATES = {LONG!r}, {LOGGED!r}, {RATES!r}


class Logs(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        logs.update((name, epoch + place / 10) for place, name in enumerate(LOGGED))

"""
COMPILED = """    metric = keras.metrics.SparseCategoricalCrossentropy(name=LONG)
    optimizer = keras.optimizers.SGD(*(hp[rate] for rate in RATES))
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=[metric])"""


@pytest.fixture(scope="module")
def names_study(tmp_path_factory: pytest.TempPathFactory) -> StudyHistory:
    folder = tmp_path_factory.mktemp("names")
    write_study(
        folder,
        name='"names"',
        imports=IMPORTS,
        compiled=COMPILED,
        space="ks.SearchSpace(*(ks.Float(rate, 0.001, 0.1) for rate in RATES))",
        objective='ks.Objective("val_" + LONG, "min")',
        callbacks="lambda hp: [Logs()]",
        trials="2",
    )
    kerastudy_here(folder, "launch", "study.py", "--executor", "in-process", "--verify", "full")
    return history_at(folder / "kerastudy-store", "names")


def test_the_record_has_them_as_they_are(names_study: StudyHistory) -> None:
    assert len(LONG) == 400
    assert len(names_study.ended) == 2
    assert names_study.best.verified == "model.fit, identical"
    for trial in names_study.ended:
        assert trial.state == "complete" and set(trial.spec.values) == {*RATES}
        assert trial.result.scores_bytes and not trial.result.unscored
        assert set(trial.best.metrics) == NAMES
        assert trial.best.value == trial.best.metrics[f"val_{LONG}"]
    for row in rows(names_study.folder, "SELECT epoch, metrics FROM epochs"):
        metrics = json.loads(row["metrics"])
        assert set(metrics) == NAMES
        logged = [row["epoch"] - 1 + place / 10 for place in range(len(LOGGED))]
        assert [metrics[name] for name in LOGGED] == logged


def test_show_has_them_as_they_are(names_study: StudyHistory) -> None:
    place, show = names_study.store.root.parent, ("show", "names")
    document = json.loads(kerastudy_here(place, *show, "--json").stdout)
    assert document["objective"]["metric"] == f"val_{LONG}"
    assert set(document["best"]["metrics"]) == NAMES
    assert set(document["best"]["params"]) == {*RATES}
    assert kerastudy_here(place, *show).stdout and kerastudy_here(place, *show, "--all").stdout


def test_mlflow_has_them_in_its_spelling_once(names_study: StudyHistory) -> None:
    in_mlflow = InMlflow(names_study)
    check_equal(in_mlflow.client, names_study.folder)
    spelled = {to_mlflow(name) for name in (*NAMES, f"best_val_{LONG}")}
    assert {"100 :x25:", "정확도", "a/b", "a: b"} < spelled
    assert len(spelled) == len(NAMES) + 1 and max(map(len, spelled)) == 250
    for trial in names_study.ended:
        data = in_mlflow.run(trial.uuid).data
        assert {name for name in data.metrics if not name.startswith("system/")} == spelled
        rates = [float(data.params[to_mlflow(rate)]) for rate in RATES]
        assert rates == pytest.approx([trial.params[rate] for rate in RATES], rel=1e-3)
    (best,) = [name for name in in_mlflow.parent.data.metrics if name.startswith("study/best_")]
    assert best == to_mlflow(f"study/best_val_{LONG}")
    assert in_mlflow.champion.tags[to_mlflow(f"val_{LONG}")] == repr(names_study.best.value)
