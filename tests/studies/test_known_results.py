"""Studies that begin with results of Optuna, MLflow or Keras Tuner: from real stores of theirs."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import sqlalchemy
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from user_commands import as_json, kerastudy_here

import kerastudy as ks
from search_spaces.errors import StudyError
from studies.definition.seeds import sampler_seed
from studies.engines.engine import EngineSettings
from studies.engines.make import make_engine
from studies.known.reading import read_known
from tracking.history.summary import study_note
from tracking.records import BestEpoch, Objective, TrialResult
from tracking.records.known import KnownResults
from tracking.report.charts.history import optimization_history
from tracking.report.trial_data import StudyData
from tracking.report.verdict import verdict
from tracking.store.folder import create_store

SPACE = ks.SearchSpace(
    ks.Float("lr", 1e-4, 1e-1, scale="log"),
    ks.Int("units", 4, 64),
    ks.Choice("optimizer", ["adam", "sgd"]),
    ks.Float("momentum", 0.0, 0.9, when={"optimizer": "sgd"}),
)
MAX = Objective("val_accuracy", "max")

STUDY = """
import keras, numpy as np
import kerastudy as ks

x = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")

def build(hp):
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(hp["units"])])
    model.add(keras.layers.Dense(1))
    model.compile(keras.optimizers.Adam(hp["lr"]), "mse")
    return model

study = ks.Study(
    "mine", data=ks.datasets.arrays(x, x.sum(axis=1), test=None), build=build,
    space=ks.SearchSpace(ks.Float("lr", 1e-4, 1e-1, scale="log"), ks.Int("units", 4, 64)),
    objective="val_loss", trials=2, epochs=1, try_defaults=False,
    known=ks.import_study("optuna", "sqlite:///old.db", name="old"),
)
"""


def optunas(folder: Path, *, direction: str = "maximize", name: str = "old") -> str:
    """An Optuna storage with trials near lr = 0.01, units = 40."""
    url = f"sqlite:///{folder / 'old.db'}"
    study = optuna.create_study(study_name=name, storage=url, direction=direction)
    lr, units = FloatDistribution(1e-5, 1.0, log=True), IntDistribution(1, 100)
    sign = 1 if direction == "maximize" else -1
    for i in range(12):
        params = {"lr": 0.01 * 1.2 ** (i - 6), "units": 34 + i}
        trial = optuna.trial.create_trial(
            params=params,
            distributions={"lr": lr, "units": units},
            value=sign * (1 - abs(i - 6) / 10),
        )
        study.add_trial(trial)
    study.add_trial(
        optuna.trial.create_trial(
            params={"lr": 0.9, "units": 8}, distributions={"lr": lr, "units": units}, value=1.0
        )
    )
    study.add_trial(
        optuna.trial.create_trial(
            params={"lr": 0.01, "units": 8, "kernel": "a"},
            distributions={"lr": lr, "units": units, "kernel": CategoricalDistribution(["a"])},
            value=1.0,
        )
    )
    study.add_trial(optuna.trial.create_trial(state=optuna.trial.TrialState.FAIL))
    return url


TWO = ks.SearchSpace(*(p for p in SPACE if p.name in ("lr", "units")))


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_optunas_trials(tmp_path: Path) -> None:
    url = optunas(tmp_path)
    before = digest(tmp_path / "old.db")
    known = read_known(ks.import_study("optuna", url), TWO, MAX)
    assert len(known.objectives) == 12 and max(known.objectives) == 1.0
    assert known.values[6] == {"lr": pytest.approx(0.01), "units": 40}
    assert known.left_out == {"failed": 1, "of other hyperparameters": 1, "outside the space": 1}
    assert digest(tmp_path / "old.db") == before
    assert sorted(each.name for each in tmp_path.iterdir()) == ["old.db"]
    odd = (tmp_path / "old.db").rename(tmp_path / "50 % #1 %20.db")
    address = sqlalchemy.URL.create("sqlite", database=str(odd)).render_as_string()
    assert read_known(ks.import_study("optuna", address), TWO, MAX).values == known.values
    assert [*tmp_path.iterdir()] == [odd]
    # Their JSON keeps them whole.
    text = json.dumps(known.to_dict())
    assert KnownResults.from_dict(json.loads(text)).digest == known.digest


def test_mlflows_runs(tmp_path: Path) -> None:
    from mlflow import MlflowClient

    # An ordinary database of MLflow's, made once for all tests.
    uri = create_store(tmp_path / "store").mlflow_uri
    client = MlflowClient(tracking_uri=uri)
    experiment = client.create_experiment("tuning", artifact_location=str(tmp_path))

    def run(status: str, metrics: dict[str, list[float]], **params: Any) -> None:
        made = client.create_run(experiment).info.run_id
        for name, value in params.items():
            client.log_param(made, name, value)
        for name, values in metrics.items():
            for step, value in enumerate(values):
                client.log_metric(made, name, value, step=step)
        client.set_terminated(made, status)

    curve = [0.5, 0.8, 0.7]
    run("FINISHED", {"val_accuracy": curve}, lr=0.01, units=32, optimizer="adam", batch=5)
    run("FINISHED", {"val_accuracy": [0.6]}, lr=0.01, units=8, optimizer="sgd", momentum=0.5)
    run("FINISHED", {"val_loss": [0.6]}, lr=0.01, units=8, optimizer="adam")
    run("FAILED", {"val_accuracy": [0.9]}, lr=0.01, units=8, optimizer="adam")
    run("FINISHED", {"val_accuracy": [0.9]}, lr=0.01, units="many", optimizer="adam")
    known = read_known(ks.import_study("mlflow", uri, "tuning"), SPACE, MAX)
    assert list(known.values) == [
        {"lr": 0.01, "units": 32, "optimizer": "adam"},
        {"lr": 0.01, "units": 8, "optimizer": "sgd", "momentum": 0.5},
    ]
    # The best epoch counts.
    assert list(known.objectives) == [0.8, 0.6]
    left_out = {"failed": 1, "outside the space": 1, "without val_accuracy": 1}
    assert known.left_out == left_out
    with pytest.raises(StudyError, match="There is: tuning"):
        read_known(ks.import_study("mlflow", uri, "other"), SPACE, MAX)


def test_keras_tuners_folder(tmp_path: Path) -> None:
    """A real search, of a model that is no Keras model."""
    import keras_tuner as kt

    class Numbers(kt.RandomSearch):
        def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> float:
            hp = trial.hyperparameters
            lr = hp.Float("lr", 1e-3, 1e-1, sampling="log")
            if hp.Choice("optimizer", ["adam", "sgd"]) == "sgd":
                with hp.conditional_scope("optimizer", ["sgd"]):
                    lr += hp.Float("momentum", 0.0, 0.9)
            return {"val_accuracy": lr + hp.Int("units", 4, 64)}  # type: ignore[return-value]

    with contextlib.redirect_stdout(io.StringIO()):
        objective = kt.Objective("val_accuracy", "max")
        tuner = Numbers(objective=objective, max_trials=5, seed=1, directory=tmp_path)
        tuner.search(verbose=0)
    trials = tuner.oracle.trials.values()
    folder = tmp_path / "untitled_project"
    known = read_known(ks.import_study("keras_tuner", folder), SPACE, MAX)
    assert sum((known.left_out or {}).values()) + len(known.objectives) == 5
    scores = {each.score: dict(each.hyperparameters.values) for each in trials}
    for values, value in zip(known.values, known.objectives, strict=True):
        assert {name: scores[value][name] for name in values} == dict(values)
        assert ("momentum" in values) == (values["optimizer"] == "sgd")
    # A tuner's directory of a single project is found too; another direction is refused.
    assert read_known(ks.import_study("keras-tuner", tmp_path), SPACE, MAX).digest == known.digest
    with pytest.raises(StudyError, match="went for max val_accuracy"):
        least = Objective("val_accuracy", "min")
        read_known(ks.import_study("keras_tuner", folder), SPACE, least)


@pytest.mark.parametrize(
    ("kind", "place", "message"),
    [
        ("optuna", "sqlite:///none.db", "no such file"),
        ("optuna", "none.log", "no such file"),
        ("optuna", "nonsense://x", "Optuna can't read"),
        ("mlflow", "sqlite:///none.db", "no such file"),
        ("keras_tuner", ".", "no folder of a Keras Tuner project"),
    ],
)
def test_places_without_results(tmp_path: Path, kind: str, place: str, message: str) -> None:
    with contextlib.chdir(tmp_path), pytest.raises(StudyError, match=message):
        read_known(ks.import_study(kind, place), SPACE, MAX)
    assert list(tmp_path.iterdir()) == []


def test_wrong_sources_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="Did you mean 'optuna'"):
        ks.import_study("optunas", "x")
    with pytest.raises(StudyError, match="an address or a path"):
        ks.import_study("optuna", 3)
    url = optunas(tmp_path)
    with pytest.raises(StudyError, match="goes for maximize, and this one for minimize"):
        read_known(ks.import_study("optuna", url), TWO, Objective("val_loss", "min"))


def settings(engine: str, known: tuple[KnownResults, ...]) -> EngineSettings:
    return EngineSettings(
        name="mine",
        engine=engine,
        pruner="none",
        space=TWO,
        objective=MAX,
        epochs=3,
        seed=4,
        known=known,
    )


def first_of(engine: str, *known: KnownResults) -> dict[str, Any]:
    made = make_engine(settings(engine, known))
    made.restore((), lambda trial: {})
    proposal = made.ask()
    assert proposal is not None and proposal.number == 0
    TWO.validate(proposal.values)
    return dict(proposal.values)


@pytest.mark.parametrize("engine", ["keras-tuner:bayesian", "optuna:random"])
def test_engines_that_learn_propose_otherwise(tmp_path: Path, engine: str) -> None:
    known = read_known(ks.import_study("optuna", optunas(tmp_path)), TWO, MAX)
    assert (first_of(engine, known) == first_of(engine)) == (engine == "optuna:random")


def test_tpe_takes_known_results_as_observed_trials(tmp_path: Path) -> None:
    """As in a study of Optuna's own that has these trials."""
    known = read_known(ks.import_study("optuna", optunas(tmp_path)), TWO, MAX)
    plain = optuna.create_study(direction="maximize")
    space = {"lr": FloatDistribution(1e-4, 1e-1, log=True), "units": IntDistribution(4, 64)}
    for values, value in zip(known.values, known.objectives, strict=True):
        trial = optuna.trial.create_trial(params=dict(values), distributions=space, value=value)
        plain.add_trial(trial)
    plain.sampler = optuna.samplers.TPESampler(
        seed=sampler_seed(4, 0), multivariate=True, constant_liar=True
    )
    ours = first_of("optuna:tpe", known)
    assert ours == plain.ask(space).params
    assert ours != first_of("optuna:tpe")


def test_cma_es_begins_near_the_best_known_result() -> None:
    """Without any, it begins in the middle of the space."""
    values = ({"lr": 0.05, "units": 60}, {"lr": 0.001, "units": 6})
    known = KnownResults(ks.import_study("optuna", "old.log"), values, (0.9, 0.1))

    def units(*known: KnownResults) -> float:
        drawn = []
        for seed in range(8):
            engine = make_engine(replace(settings("optuna:cma-es", known), seed=seed))
            first, second = engine.ask({"lr": 0.01, "units": 20}), None
            assert first is not None
            engine.tell(0, TrialResult(0, "complete", best=BestEpoch(1, 0.5, {})))
            second = engine.ask()
            assert second is not None
            drawn.append(second.values["units"])
        return float(np.mean(drawn))

    assert units() < 48 < units(known)


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("known results")
    optunas(folder, direction="minimize")
    (folder / "study.py").write_text(STUDY)
    kerastudy_here(folder, "launch", "study.py", *LAUNCH)
    return folder


LAUNCH = ("--verify", "off", "--executor", "in-process")


def test_a_study_begins_with_them(launched: Path) -> None:
    shown = as_json(kerastudy_here(launched, "show", "mine", "--json"))
    [known] = shown["known"]
    assert len(known["objectives"]) == 12 and min(known["objectives"]) == -1.0
    assert known["source"]["name"] == "old"
    # They are better than any loss, and no trials of the study.
    assert shown["trials"]["total"] == 2 and shown["best"]["value"] > 0
    text = kerastudy_here(launched, "show", "mine", COLUMNS="80").stdout
    assert "known      12 results of optuna sqlite:///old.db (old), the best -1" in text
    [line] = [each for each in text.splitlines() if each.startswith("known")]
    assert len(line) <= 80
    history = ks.read_study("mine", store=launched / "kerastudy-store")
    assert "Known before: 12 results of optuna sqlite:///old.db" in study_note(history, "done")
    data = StudyData(history)
    trust = dict(verdict(data).trust)
    assert "The best of them is better than the best trial, by " in trust["Known results"]
    chart = json.loads(optimization_history(data).to_json(validate=False))
    assert {"known": -1.0, "told": "the best known result before"} in [
        row for rows in chart["datasets"].values() for row in rows
    ] + [row for layer in chart["layer"] for row in layer.get("data", {}).get("values", [])]


@pytest.mark.exhaustive
def test_it_resumes_without_their_place(launched: Path) -> None:
    """And proposes what it would have proposed with it."""
    before = as_json(kerastudy_here(launched, "show", "mine", "--json"))
    (launched / "old.db").rename(launched / "gone.db")
    kerastudy_here(launched, "launch", "study.py", "--trials", "3", *LAUNCH)
    after = as_json(kerastudy_here(launched, "show", "mine", "--json"))
    assert after["known"] == before["known"] and after["trials"]["total"] == 3
    (launched / "gone.db").rename(launched / "old.db")
    kerastudy_here(launched, "launch", "study.py", "--trials", "3", "--name", "again", *LAUNCH)
    again = as_json(kerastudy_here(launched, "show", "again", "--json"))
    params = [{int(t["trial"]): t["params"] for t in each["all"]} for each in (after, again)]
    assert params[0] == params[1]
    compared = kerastudy_here(launched, "compare", "mine", "again", COLUMNS="80").stdout
    for name in ("mine", "again"):
        assert f"note: '{name}' began with 12 results of optuna sqlite:///old.db" in compared


def test_the_command_line_takes_them_too(launched: Path) -> None:
    told = kerastudy_here(launched, "launch", "study.py", "--known", "optuna", expect=2).stderr
    assert "--known takes KIND:PLACE or KIND:PLACE#NAME" in told
    known = ("--known", "optuna:sqlite:///none.db")
    told = kerastudy_here(
        launched, "launch", "study.py", *known, "--name", "other", *LAUNCH, expect=2
    ).stderr
    assert "There is no Optuna storage at 'sqlite:///none.db'" in told
