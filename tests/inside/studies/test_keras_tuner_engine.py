"""Keras Tuner behind the Engine seam.

Where an oracle of Keras Tuner's own is compared with, it is asked and told as its tuners do.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras_tuner
import numpy as np
import pytest
from conformance.engine import (
    OBJECTIVE,
    SPACE,
    EngineConformance,
    Played,
    curve,
)
from keras_tuner import oracles
from keras_tuner_played import CONTINUOUS, KERAS_TUNER_ENGINES, SMALL, ask, make, tell
from suite import exhaustive

import kerastudy as ks
from search_spaces import EngineError, KerasTunerSpace, SearchSpace, canonical_json
from studies.definition import PRUNERS, check_engine, hyperband_trials, sampler_seed
from studies.engines import EngineSettings, KerasTunerEngine, check_engine_serves, make_engine
from tracking.records import BestEpoch, Objective, TrialResult


@pytest.mark.parametrize(
    "engine, pruner",
    [("random", "none"), ("hyperband", "none"), ("grid", "median"), ("random", "hyperband")],
)
class TestConformance(EngineConformance):
    never_repeats = True

    @pytest.fixture
    def make(self, engine: str, pruner: str) -> Callable[..., KerasTunerEngine]:
        return lambda space, seed=7: make(engine, pruner, space, seed)


class TestBayesianConformance(EngineConformance):
    # Two dimensions: six random trials, and then the Gaussian process.
    space = SMALL
    trials = 9
    never_repeats = True

    @pytest.fixture
    def make(self) -> Callable[..., KerasTunerEngine]:
        return lambda space, seed=7: make("bayesian", "none", space, seed)

    # See `TestTryingNothingTwice` and `TestBayesian`.
    test_tries_nothing_twice = exhaustive(EngineConformance.test_tries_nothing_twice)
    test_ends_when_all_has_been_tried_and_only_then = exhaustive(
        EngineConformance.test_ends_when_all_has_been_tried_and_only_then
    )
    test_given_is_proposed_next = exhaustive(EngineConformance.test_given_is_proposed_next)
    test_resumed_with_a_trial_in_flight = exhaustive(
        EngineConformance.test_resumed_with_a_trial_in_flight
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning:keras_tuner")
class TestProposesWhatKerasTunerDoes:
    """Given the same random state for each trial."""

    def compare(self, folder: Path, oracle: Any, played: Played, trials: int) -> None:
        oracle._set_project_dir(str(folder), "plain")
        oracle.verbose = 0
        translated = KerasTunerSpace(CONTINUOUS)
        for number in range(trials):
            seed = sampler_seed(7, number)
            oracle._seed_state = seed
            if isinstance(oracle, oracles.BayesianOptimizationOracle):
                oracle._random_state = np.random.RandomState(seed)
                oracle.gpr.random_state = seed
            wanted = oracle.create_trial("tuner")
            found = played.ask()
            assert found is not None
            assert found.values == translated.decode(wanted.hyperparameters.values)
            values = wanted.hyperparameters.values
            assert found.epochs == values.get("tuner/epochs")
            past = values.get("tuner/trial_id")
            assert found.goes_on_from == (None if past is None else int(past))
            played.finish(found)
            best = played.records[-1].best
            assert best is not None
            oracle.update_trial(wanted.trial_id, {"val_loss": best.value}, step=1)
            wanted.status = "COMPLETED"
            oracle.end_trial(wanted)

    def arguments(self) -> dict[str, Any]:
        return {
            "objective": keras_tuner.Objective("val_loss", "min"),
            "hyperparameters": KerasTunerSpace(CONTINUOUS).hyperparameters(),
        }

    def test_random(self, tmp_path: Path) -> None:
        oracle = oracles.RandomSearchOracle(max_trials=None, **self.arguments())
        self.compare(tmp_path, oracle, Played(make("random")), 8)

    def test_bayesian(self, tmp_path: Path) -> None:
        oracle = oracles.BayesianOptimizationOracle(max_trials=None, **self.arguments())
        self.compare(tmp_path, oracle, Played(make("bayesian")), 8)

    def test_hyperband(self, tmp_path: Path) -> None:
        oracle = oracles.HyperbandOracle(max_epochs=9, hyperband_iterations=2, **self.arguments())
        trials = hyperband_trials(9) + 11
        self.compare(tmp_path, oracle, Played(make("hyperband", epochs=9)), trials)


@pytest.mark.parametrize("engine", ["random", "bayesian", "hyperband"])
def test_other_seed_other_proposals(engine: str) -> None:
    first, second = (Played(make(engine, seed=seed)).play(4) for seed in (0, 1))
    assert first != second


class TestGrid:
    SPACE = SearchSpace(
        ks.Float("rate", 0, 0.5, step=0.1),
        ks.Int("units", 4, 16, scale="log"),
        ks.Choice("kind", [None, True, 1], default=1),
        ks.Boolean("extra", when={"kind": [None, 1]}),
        ks.Int("depth", 1, 2, when={"extra": True, "rate": [0.1, 0.5]}),
        ks.Fixed("loss", None),
    )

    def test_walks_every_configuration_once(self) -> None:
        found = [p.values for p in iter(make("grid", space=self.SPACE).ask, None)]
        assert len(found) == len(list(self.SPACE.grid()))
        spelled = {canonical_json(values) for values in found}
        assert spelled == {canonical_json(values) for values in self.SPACE.grid()}
        assert found[0] == self.SPACE.defaults()

    def test_walks_on_while_trials_run(self) -> None:
        """Keras Tuner's waits for one to end."""
        engine = make("grid", space=SMALL)
        assert [engine.ask() is not None for _ in range(5)] == [True] * 5

    def test_refuses_what_is_continuous(self) -> None:
        with pytest.raises(EngineError, match=r"'rate' is continuous.*keras-tuner:random"):
            make("grid", space=CONTINUOUS)

    def test_refuses_what_keras_tuner_would_list_for_ever(self) -> None:
        with pytest.raises(EngineError, match=r"'units' has more.*optuna:grid"):
            make("grid", space=SearchSpace(ks.Int("units", 1, 2**40)))


class TestTryingNothingTwice:
    def test_a_rare_configuration_is_found(self) -> None:
        """Keras Tuner takes 20 collisions in a row for the end of the space."""
        space = SearchSpace(
            ks.Boolean("extra"), ks.Int("depth", 1, 150, when={"extra": True}), ks.Fixed("units", 1)
        )
        for engine in ("random", "hyperband"):
            anew = [
                canonical_json(proposal.values)
                for proposal in iter(make(engine, space=space).ask, None)
                if proposal.goes_on_from is None
            ]
            assert sorted(anew) == sorted(map(canonical_json, space.grid()))

    def test_the_last_continuous_branch_is_gone_on_with(self) -> None:
        kinds = [str(i) for i in range(60)]
        space = SearchSpace(
            ks.Choice("kind", kinds), ks.Float("rate", 0.1, 0.2, when={"kind": "7"})
        )
        engine = make("random", space=space)
        for kind in kinds:
            if kind != "7":
                engine.ask({"kind": kind})
        assert [p.values["kind"] for p in (engine.ask(), engine.ask()) if p] == ["7", "7"]

    def test_bayesian_finds_all_of_a_small_space(self) -> None:
        """Keras Tuner tried 5 of such a space's 6 configurations in 9 trials."""
        space = SearchSpace(ks.Int("units", 1, 6))
        played = Played(make("bayesian", space=space))
        found = played.play(6)
        assert sorted(values["units"] for _, values, *_ in found) == [1, 2, 3, 4, 5, 6]  # type: ignore[type-var]
        assert played.ask() is None


class TestBayesian:
    def test_learns_in_the_objectives_own_direction(self) -> None:
        engine = make(
            "bayesian",
            space=SearchSpace(ks.Float("rate", 0.0, 1.0)),
            objective=Objective("val_f1_score", "max"),
        )
        found = []
        for _ in range(8):
            proposal = ask(engine)
            found.append(abs(proposal.values["rate"] - 0.7))
            tell(engine, proposal, 1.0 - found[-1])
        assert min(found[3:]) < 0.05

    def test_goes_on_whatever_is_infeasible(self) -> None:
        """Keras Tuner stops at the third that fails in a row."""
        played = Played(make("bayesian", space=SMALL))
        assert len(played.play(12, infeasible=range(3, 12))) == 12

    def test_running_trials_are_taken_into_account_alike_after_a_restart(self) -> None:
        played = Played(make("bayesian"))
        played.play(7)
        running = [played.ask(), played.ask()]
        resumed = make("bayesian")
        in_flight = [played.unfinished(p) for p in running if p is not None]
        resumed.restore([*played.records, *in_flight], curve)
        found, wanted = resumed.ask(), played.ask()
        assert found is not None and found == wanted


@pytest.mark.parametrize(
    "engine, pruner",
    [
        *(("random", pruner) for pruner in PRUNERS if pruner not in ("none", "threshold")),
        ("bayesian", "median"),
        ("grid", "median"),
    ],
)
def test_pruners_work_as_with_optunas_engines(engine: str, pruner: str) -> None:
    """The same reports for the same values are pruned alike, whoever proposed the values.

    Here each trial is worse than the one before, and gets worse from its third epoch on.
    """
    mine = make(engine, pruner, SPACE, epochs=9)
    optunas = make_engine(
        EngineSettings(
            name="conformance",
            engine="optuna:random",
            pruner=pruner,
            space=SPACE,
            objective=OBJECTIVE,
            epochs=9,
            seed=1,
        )
    )
    pruned = 0
    for number in range(14):
        proposal = ask(mine)
        optunas.ask(proposal.values)
        for epoch in range(1, 10):
            value = number + abs(epoch - 3) / 10
            prunes = mine.report(number, epoch, value)
            assert prunes == optunas.report(number, epoch, value)
            if prunes:
                break
        state = "pruned" if prunes else "complete"
        pruned += prunes
        best = BestEpoch(min(epoch, 3), float(number), {})
        result = TrialResult(number, state, epoch, best)  # type: ignore[arg-type]
        mine.tell(number, result)
        optunas.tell(number, result)
    assert pruned


@pytest.mark.parametrize("engine", ["random", "bayesian", "hyperband", "grid"])
def test_writes_no_file_and_prints_nothing(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Played(make(engine, space=SMALL)).play(7, infeasible=(1, 2, 3, 4))
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.exhaustive
def test_a_process_that_asks_keeps_its_environment_and_its_terminal() -> None:
    """And does not import TensorFlow to find that an engine cannot serve."""
    program = """
import os, sys
import kerastudy as ks
from studies.engines import EngineSettings
from studies.engines import check_engine_serves, make_engine
from search_spaces import EngineError
space = ks.SearchSpace(ks.dropout())
for engine in ("bayesian", "hyperband", "grid"):
    try:
        check_engine_serves(f"keras-tuner:{engine}", "median", space, 9)
    except EngineError:
        pass
assert not {"tensorflow", "keras", "keras_tuner"} & set(sys.modules)
before = dict(os.environ)
engine = make_engine(EngineSettings(
    name="x", engine="keras-tuner:random", pruner="none", space=space,
    objective=ks.Objective("val_loss", "min"), epochs=9, seed=0))
assert engine.ask().number == 0
assert dict(os.environ) == before, set(os.environ.items()) ^ set(before.items())
import keras, tensorflow
assert keras.backend.backend() == "tensorflow"
assert tensorflow.config.get_visible_devices("GPU") == []
"""
    root = Path(__file__).parents[3]
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=root, env=environment
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_names_of_engines() -> None:
    assert check_engine("keras-tuner") == "keras-tuner:bayesian"
    assert check_engine("Bayesian") == "keras-tuner:bayesian"
    assert check_engine("hyperband") == "keras-tuner:hyperband"
    assert check_engine("keras_tuner:RandomSearch") == "keras-tuner:random"
    # Names of both libraries stay Optuna's.
    assert check_engine("random") == "optuna:random"
    assert check_engine("grid") == "optuna:grid"
    with pytest.raises(EngineError, match="keras-tuner:hyperband"):
        check_engine("keras-tuner:hyperbend")


@pytest.mark.parametrize("engine", KERAS_TUNER_ENGINES)
def test_refuses_a_name_that_keras_tuner_keeps_for_itself(engine: str) -> None:
    space = SearchSpace(ks.Int("tuner/epochs", 1, 3))
    with pytest.raises(EngineError, match=r"'tuner/epochs'.*optuna:tpe"):
        check_engine_serves(engine, "none", space, 9)
