"""Trial 0 has the defaults of the space, unless the study says otherwise."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path
from typing import Any

import optuna
import pytest
from blobs import write_study
from in_mlflow import InMlflow
from optuna.exceptions import ExperimentalWarning
from scripted import SPACE as SCRIPTED
from scripted import ScriptedExecutor, describe, loss, run_study
from simulated_workers import SimulatedWorkers
from stores import history_at
from suite import exhaustive_but
from user_commands import kerastudy_here

import kerastudy as ks
from search_spaces import OptunaSpace, SearchSpace, StudyError
from studies.definition import ENGINES, sampler_seed
from studies.progress import NoProgress
from tracking.history import StudyHistory
from tracking.records import TrialSpec

# What `scripted.SPACE` declares: the middle of each range, in its scale; the first choice.
MIDDLE = {"rate": pytest.approx(10**-2.5), "units": 34, "kind": "a"}
SMALL = SearchSpace(
    ks.Float("rate", 0.01, 0.04, step=0.01, default=0.02),
    ks.Int("units", 8, 10),
    ks.Choice("kind", ["a", "b"], default="b"),
    ks.Choice("momentum", [0.0, 0.5], default=0.5, when={"kind": "b"}),
)
OF_SMALL = {"rate": 0.02, "units": 9, "kind": "b", "momentum": 0.5}
OTHER = ks.Int("units", 4, 64, default=8)
HERE = ["--executor", "in-process", "--verify", "off"]
GRIDS = ["optuna:grid", "keras-tuner:grid"]
ONE_OF_EACH_FAMILY = ["optuna:tpe", "optuna:grid", "keras-tuner:bayesian", "keras-tuner:hyperband"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store for all: making its databases takes longer than any study here."""
    return tmp_path_factory.mktemp("defaults first") / "store"


def launch(folder: Path, name: str, **settings: Any) -> StudyHistory:
    before = settings.pop("before", lambda spec: None)
    description = describe(**{"name": name, "try_defaults": True, "trials": 4, **settings})
    executor = ScriptedExecutor(description, before=before)
    return run_study(executor, store=folder, progress=NoProgress())


def values(history: StudyHistory) -> list[dict[str, Any]]:
    return [dict(trial.spec.values) for trial in history.trials]


@pytest.mark.parametrize("engine", exhaustive_but(ONE_OF_EACH_FAMILY, ENGINES))
def test_under_every_engine(folder: Path, engine: str) -> None:
    history = launch(folder, "any engine", engine=engine, space=SMALL)
    assert values(history)[0] == OF_SMALL
    assert history.default is history.trials[0]
    tries = [trial.spec.values for trial in history.trials if trial.spec.goes_on_from is None]
    assert tries.count(OF_SMALL) == 1


def test_in_a_continuous_space_with_conditions(folder: Path) -> None:
    assert values(launch(folder, "conditions"))[0] == MIDDLE


@pytest.mark.parametrize("engine", GRIDS)
def test_a_grid_has_each_point_once(folder: Path, engine: str) -> None:
    history = launch(folder, "grid", engine=engine, space=SMALL, trials=100)
    found = [json.dumps(each, sort_keys=True) for each in values(history)]
    # Four rates, three numbers of units, "a" or "b" with two momentums.
    assert len(found) == len(set(found)) == 4 * 3 * 3
    assert history.ended_by == "space"


@pytest.mark.parametrize("conditional", [True, False])
def test_then_tpe_proposes_what_plain_optuna_does(folder: Path, conditional: bool) -> None:
    space = SCRIPTED if conditional else SearchSpace(*[p for p in SCRIPTED if not p.when])
    history = launch(folder, f"tpe {conditional}", space=space, trials=16)
    study = optuna.create_study()
    study.enqueue_trial(OptunaSpace(space).encode(space.defaults())[0])
    for trial in history.trials:
        seed = sampler_seed(0, trial.number)
        with warnings.catch_warnings(action="ignore", category=ExperimentalWarning):
            study.sampler = optuna.samplers.TPESampler(
                seed=seed, multivariate=True, group=conditional
            )
        asked = study.ask()
        assert trial.spec.values == OptunaSpace(space).suggest(asked)
        study.tell(asked, min(loss(trial.spec, epoch) for epoch in range(1, 5)))


def test_hyperband_gives_them_a_place_in_the_first_rung(folder: Path) -> None:
    settings = {"engine": "keras-tuner:hyperband", "epochs": 9, "trials": 17}
    history = launch(folder, "hyperband", **settings)
    without = launch(folder, "hyperband without", try_defaults=False, **settings)

    def budgets(history: StudyHistory) -> list[tuple[int, bool]]:
        return [(t.spec.epochs, t.spec.goes_on_from is None) for t in history.trials]

    assert values(history)[0] == MIDDLE
    assert history.trials[0].spec.epochs < 9
    assert budgets(history) == budgets(without)


def test_known_values_follow_and_the_defaults_are_not_trained_twice(folder: Path) -> None:
    others = [{"rate": 0.01, "units": 8, "kind": "a"}, {**OF_SMALL, "units": 10}]
    found = values(launch(folder, "again", space=SMALL, initial=[others[0], OF_SMALL, others[1]]))
    assert found[:3] == [OF_SMALL, *others]
    assert found[3] not in found[:3]


def test_a_study_that_was_cut_in_them_tries_them_again(folder: Path) -> None:
    def interrupt(spec: TrialSpec) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        launch(folder, "cut", before=interrupt)
    history = launch(folder, "cut")
    assert values(history) == values(launch(folder, "uncut"))
    assert history.default is not None and history.default.spec.attempt == 2


def test_a_deterministic_study_is_the_same_whatever_the_timing(folder: Path) -> None:
    found = []
    for seed in range(2):
        description = describe(
            name=f"timing {seed}", try_defaults=True, deterministic=True, trials=8
        )
        executor = SimulatedWorkers(description, 2, seed, lambda *_: None, lambda spec: False)
        history = run_study(executor, store=folder, progress=NoProgress(), workers=2)
        found.append(values(history))
    assert found[0] == found[1]
    assert found[0][0] == MIDDLE


class TestResumed:
    @pytest.mark.parametrize(
        "before, now", exhaustive_but([(False, True)], [(False, True), (True, False)])
    )
    def test_a_study_stays_as_it_was_begun(self, folder: Path, before: bool, now: bool) -> None:
        settings = {"initial": ({"rate": 0.01, "units": 8, "kind": "a"},)}
        wanted = launch(folder, f"whole {before}", try_defaults=before, trials=8, **settings)
        name = f"resumed {before}"
        launch(folder, name, try_defaults=before, trials=1, **settings)
        resumed = launch(folder, name, try_defaults=now, trials=8, **settings)
        assert values(resumed) == values(wanted)
        assert resumed.description.try_defaults is before

    @pytest.mark.exhaustive
    def test_another_default_is_no_other_definition(self, folder: Path) -> None:
        others = SearchSpace(*(each if each.name != "units" else OTHER for each in SCRIPTED))
        wanted = launch(folder, "one default", trials=8, try_defaults=False)
        launch(folder, "another", trials=2, try_defaults=False)
        said: list[str] = []
        description = describe(name="another", trials=8, space=others)
        progress = NoProgress()
        progress.say = said.append  # type: ignore[method-assign]
        resumed = run_study(ScriptedExecutor(description), store=folder, progress=progress)
        assert values(resumed) == values(wanted)
        assert resumed.description.space == SCRIPTED
        assert "note: defaults stay as the study was begun: units = 34" in said


class TestOfACommand:
    """Real trainings, by the command line."""

    SPACE = """ks.SearchSpace(
        ks.learning_rate(1e-3, 1.0), ks.dropout(), ks.Choice("kind", ["a", "b"]), ks.l2()
    )"""

    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        folder = tmp_path_factory.mktemp("of a command")
        write_study(folder, space=cls.SPACE)
        return folder

    def launch(self, folder: Path, *options: str) -> dict[str, Any]:
        told = kerastudy_here(folder, "launch", "my_study.py", "--json", *HERE, *options)
        return json.loads(told.stdout)

    @pytest.mark.exhaustive
    def test_a_tailored_space_has_defaults_of_its_own(self, folder: Path) -> None:
        engine = "keras-tuner:hyperband"
        tailored = ["--set", "kind=b", "--set", "dropout=0.3..0.5", "--trials", "2"]
        document = self.launch(folder, "--engine", engine, *tailored)
        assert document["default_trial"] == 0
        assert document["all"][0]["params"] == {
            "learning_rate": 0.001,
            "dropout": pytest.approx(0.4),
            "kind": "b",
            "use_l2": False,
        }
        history = history_at(folder / "kerastudy-store", document["study"], engine)
        shown = InMlflow(history)
        first, second = (shown.run(trial.uuid) for trial in history.trials)
        assert first.info.run_name.startswith("#0 defaults · val_accuracy ")
        assert second.info.run_name.startswith("#1 · ")
        assert first.data.tags["kerastudy.defaults"] == "yes"
        assert "kerastudy.defaults" not in second.data.tags

    @pytest.mark.exhaustive
    def test_a_launch_may_leave_them_out(self, folder: Path) -> None:
        write_study(folder / "left out", seed="    epochs=2,\n    try_defaults=False,\n")
        there = ("--store", "../kerastudy-store", "--name", "without")
        document = self.launch(folder / "left out", "--trials", "1", *there)
        assert document["default_trial"] is None
        assert document["all"][0]["params"]["learning_rate"] != 0.001
        told = kerastudy_here(folder, "show", "without")
        assert "defaults" not in told.stdout

    @pytest.mark.exhaustive
    def test_those_of_a_builder_are_found_by_tracing(self, folder: Path) -> None:
        builder = """    rate = hp.Float("rate", 1e-3, 1.0, sampling="log", default=0.25)
    loss = "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.SGD(rate), loss, metrics=["accuracy"])
"""
        write_study(folder / "traced", space="None", compiled=builder, name='"traced"')
        document = self.launch(folder / "traced", "--trials", "2", "--store", "../kerastudy-store")
        assert [t["params"]["rate"] == 0.25 for t in document["all"]] == [True, False]
        told = kerastudy_here(
            *(folder / "traced", "show", "traced", "--store", "../kerastudy-store"), COLUMNS="80"
        )
        assert re.search(
            r"^(best       trial 0, the defaults:|defaults   trial 0: )", told.stdout, re.M
        )
        told = kerastudy_here(folder, "show", "traced", "--trial", "0")
        assert told.stdout.startswith("trial      0 of traced: complete; it has the defaults\n")


@pytest.mark.parametrize("given", ["no", 1, None])
def test_anything_but_true_and_false_is_refused(given: object) -> None:
    with pytest.raises(StudyError, match="try_defaults must be True or False"):
        ks.Study("wrong", data=ks.datasets.digits(), build=print, try_defaults=given)
