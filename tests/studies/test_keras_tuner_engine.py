"""Keras Tuner behind the Engine seam.

Where an oracle of Keras Tuner's own is compared with, it is asked and told as its tuners do.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras_tuner
import numpy as np
import optuna
import pytest
from conformance.engine import (
    EPOCHS,
    OBJECTIVE,
    SPACE,
    EngineConformance,
    Played,
    curve,
    proposed,
)
from keras_tuner import oracles

import kerastudy as ks
from search_spaces import SearchSpace
from search_spaces.keras_tuner_space import KerasTunerSpace
from search_spaces.scalars import canonical_json
from studies.engines.keras_tuner_engine import KerasTunerEngine
from studies.engines.keras_tuner_parts import hyperband_trials
from studies.engines.make import check_engine_serves, make_engine
from studies.engines.optuna_export import OptunaExport
from studies.errors import EngineError
from studies.seeds import sampler_seed
from studies.settings import ENGINES, PRUNERS, check_engine
from tracking.records import BestEpoch, Objective, Proposal, TrialResult
from tracking.store import create_store

KERAS_TUNER_ENGINES = [engine for engine in ENGINES if engine.startswith("keras-tuner:")]
CONTINUOUS = SearchSpace(ks.Float("rate", 1e-4, 1e-1, scale="log"), ks.Int("units", 1, 64))
SMALL = SearchSpace(ks.Float("rate", 1e-3, 1e-1, scale="log", step=10), ks.Int("units", 1, 16))


def make(
    engine: str,
    pruner: str = "none",
    space: SearchSpace = CONTINUOUS,
    seed: int = 7,
    epochs: int = EPOCHS,
    objective: Objective = OBJECTIVE,
    export: OptunaExport | None = None,
) -> KerasTunerEngine:
    return KerasTunerEngine(
        name="conformance",
        engine=f"keras-tuner:{engine}",
        pruner=pruner,
        space=space,
        objective=objective,
        epochs=epochs,
        seed=seed,
        export=export,
    )


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
        assert len(found) == self.SPACE.grid_size()
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
        played = Played(make("bayesian", space=space)).play(6)
        assert sorted(values["units"] for _, values, *_ in played) == [1, 2, 3, 4, 5, 6]  # type: ignore[type-var]


class TestHyperband:
    def epochs(self, played: Played) -> list[int]:
        return [record.spec.epochs for record in played.records]

    def test_a_round_is_as_long_as_said(self) -> None:
        for epochs in (2, 3, 4, 9, 10, 30):
            played = Played(make("hyperband", epochs=epochs))
            trials = hyperband_trials(epochs)
            played.play(trials + 1)
            brackets = [json.loads(r.engine_state["tuner/bracket"]) for r in played.records]
            # The last bracket only trains to the end; then the first begins anew.
            assert brackets[-2] == 0
            assert brackets[-1] == brackets[0] == max(brackets)
            assert max(self.epochs(played)) == epochs

    @pytest.mark.parametrize(
        "infeasible, rungs",
        [
            # Keras Tuner makes 9, 2, 0 of 9, 3, 1 for one that fails.
            ([3], [1] * 9 + [3] * 3 + [9]),
            ([0, 1, 2, 3, 4, 5, 6], [1] * 9 + [3] * 2 + [9]),
            ([*range(8)], [1] * 9 + [3] + [9]),
            ([*range(9)], [1] * 9),
            # All that were promoted: none is left to go on.
            ([9, 10, 11], [1] * 9 + [3] * 3),
            ([9, 11], [1] * 9 + [3] * 3 + [9]),
            ([*range(7), 9], [1] * 9 + [3] * 2 + [9]),
        ],
    )
    def test_an_infeasible_trial_costs_its_bracket_nothing(
        self, infeasible: Sequence[int], rungs: list[int]
    ) -> None:
        played = Played(make("hyperband", epochs=9))
        played.play(len(rungs) + 1, infeasible)
        assert self.epochs(played)[:-1] == rungs
        # Then the next bracket, which begins with three epochs.
        assert played.records[-1].spec.epochs == 3
        assert played.records[-1].spec.goes_on_from is None

    def test_the_best_go_on_in_the_objectives_own_direction(self) -> None:
        """Keras Tuner infers that val_f1_score is to be minimized."""
        engine = make("hyperband", epochs=9, objective=Objective("val_f1_score", "max"))
        scores = [0.3, 0.9, 0.1, 0.8, 0.2, 0.7, 0.4, 0.6, 0.5]
        tell_all(engine, scores)
        assert [ask(engine).goes_on_from for _ in range(3)] == [1, 3, 5]

    def test_the_best_epoch_counts_also_of_what_goes_on(self) -> None:
        engine = make("hyperband", epochs=9)
        tell_all(engine, [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1])
        promoted = [ask(engine) for _ in range(3)]
        for proposal, value in zip(promoted, [0.05, 0.01, 0.3], strict=True):
            tell(engine, proposal, value)
        assert ask(engine).goes_on_from == promoted[1].number

    def test_may_go_on_says_who_can_still_be_promoted(self) -> None:
        engine = make("hyperband", epochs=9)
        proposals = [ask(engine) for _ in range(9)]
        tell(engine, proposals[0], 0.5)
        assert engine.may_go_on(0)
        for proposal, value in zip(proposals[1:4], [0.4, 0.3, 0.2], strict=True):
            tell(engine, proposal, value)
        # Three are better, and there are three places.
        assert [engine.may_go_on(n) for n in range(4)] == [False, True, True, True]
        engine.tell(4, TrialResult(4, "infeasible", reason="nan"), {})
        assert not engine.may_go_on(4)
        for proposal in proposals[5:]:
            tell(engine, proposal, 0.9)
        promoted = ask(engine)
        assert promoted.goes_on_from == 3
        # It may have to begin again, until it has ended.
        assert engine.may_go_on(3)
        tell(engine, promoted, 0.1)
        assert not engine.may_go_on(3)
        assert engine.may_go_on(promoted.number)

    def test_infeasible_trials_take_no_place_from_those_that_run(self) -> None:
        engine = make("hyperband", epochs=9)
        proposals = [ask(engine) for _ in range(9)]
        for proposal in proposals[:7]:
            engine.tell(proposal.number, TrialResult(proposal.number, "infeasible"), {})
        # Seven of nine have ended, which is when Keras Tuner promotes the best of them.
        later = ask(engine)
        assert later.goes_on_from is None
        tell(engine, proposals[7], 0.5)
        tell(engine, proposals[8], 0.4)
        assert [ask(engine).goes_on_from for _ in range(2)] == [8, 7]

    def test_given_takes_the_next_place_of_a_first_rung(self) -> None:
        through, with_given = (Played(make("hyperband", epochs=9)) for _ in range(2))
        wanted = through.play(9)
        for number in range(9):
            proposal = with_given.ask({"rate": 1e-4, "units": 64} if number == 4 else None)
            assert proposal is not None and proposal.epochs == 1
            if number != 4:
                assert proposed(proposal) == wanted[number]
            with_given.finish(proposal)
        # Before what is about to be promoted, in the next bracket.
        early = with_given.ask({"rate": 1e-4, "units": 63})
        assert early is not None
        assert (early.epochs, early.goes_on_from, early.values["units"]) == (3, None, 63)
        with_given.finish(early)
        promoted = with_given.ask()
        assert promoted is not None and promoted.goes_on_from is not None

    def test_an_exhausted_space_still_has_its_best_go_on(self) -> None:
        space = SearchSpace(ks.Int("units", 1, 4), ks.Fixed("rate", 0.01))
        played = Played(make("hyperband", epochs=9, space=space))
        while (proposal := played.ask()) is not None:
            played.finish(proposal)
        assert self.epochs(played) == [1] * 4 + [3] * 3 + [9]

    @pytest.mark.parametrize(
        "changed, said",
        [
            ({"space": SearchSpace(ks.dropout(), ks.epochs(2, 4))}, "'epochs' is in the search"),
            ({"epochs": 1}, "epochs=1"),
            ({"pruner": "median"}, "'median'"),
            ({"space": SearchSpace(ks.Fixed("rate", 1))}, "Fixed"),
        ],
    )
    def test_refuses_what_it_cannot_serve(self, changed: Mapping[str, Any], said: str) -> None:
        with pytest.raises(EngineError, match=said):
            make("hyperband", **changed)


def ask(engine: KerasTunerEngine) -> Proposal:
    proposal = engine.ask()
    assert proposal is not None
    return proposal


def tell(engine: KerasTunerEngine, proposal: Proposal, value: float) -> None:
    best = BestEpoch(1, value, {})
    engine.tell(proposal.number, TrialResult(proposal.number, "complete", 1, best), {})


def tell_all(engine: KerasTunerEngine, values: Sequence[float]) -> None:
    for value in values:
        tell(engine, ask(engine), value)


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


@pytest.mark.parametrize("seed", range(4))
def test_hyperband_is_restored_at_any_point(seed: int) -> None:
    """Whatever is infeasible, and in whatever order trials that run side by side end."""
    drawn = random.Random(seed)
    infeasible = {number for number in range(30) if drawn.random() < 0.4}
    played = Played(make("hyperband", epochs=9))
    running: list[Proposal] = []
    for number in range(30):
        if len(running) == 3:
            ended = running.pop(drawn.randrange(3))
            played.finish(ended, ended.number in infeasible)
        known = {r.number: r for r in played.records}
        known.update({p.number: played.unfinished(p) for p in running})
        resumed = make("hyperband", epochs=9)
        resumed.restore([known[n] for n in sorted(known)], curve)
        for record in played.records:
            assert resumed.may_go_on(record.number) == played.engine.may_go_on(record.number)
        proposal = played.ask()
        assert proposal is not None and proposal.number == number
        assert resumed.ask() == proposal
        running.append(proposal)


@pytest.mark.parametrize(
    "engine, pruner",
    [
        *(("random", pruner) for pruner in PRUNERS if pruner != "none"),
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
        name="conformance",
        engine="optuna:random",
        pruner=pruner,
        space=SPACE,
        objective=OBJECTIVE,
        epochs=9,
        seed=1,
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
        mine.tell(number, result, {})
        optunas.tell(number, result, {})
    assert pruned


def test_finished_trials_open_in_optuna(tmp_path: Path) -> None:
    store = create_store(tmp_path / "store")
    export = OptunaExport(store, "digits", OBJECTIVE)
    played = Played(make("hyperband", space=SPACE, export=export))
    played.play(9, infeasible=(2,))
    study = optuna.load_study(study_name="digits", storage=store.optuna_uri)
    assert [t.state.name for t in study.trials] == [
        {"complete": "COMPLETE", "infeasible": "FAIL"}[r.state] for r in played.records
    ]
    assert study.best_value == min(r.best.value for r in played.records if r.best)
    # What is there and agrees with the record is taken as it is.
    resumed = make("hyperband", space=SPACE, export=OptunaExport(store, "digits", OBJECTIVE))
    resumed.restore(played.records, curve)
    assert proposed(ask(resumed)) == played.play(1)[0]


@pytest.mark.parametrize("engine", ["random", "bayesian", "hyperband", "grid"])
def test_writes_no_file_and_prints_nothing(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Played(make(engine, space=SMALL)).play(7, infeasible=(1, 2, 3, 4))
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_a_process_that_asks_keeps_its_environment_and_its_terminal() -> None:
    """And does not import TensorFlow to find that an engine cannot serve."""
    program = """
import os, sys
import kerastudy as ks
from studies.engines.make import check_engine_serves, make_engine
from studies.errors import EngineError
space = ks.SearchSpace(ks.dropout())
for engine in ("bayesian", "hyperband", "grid"):
    try:
        check_engine_serves(f"keras-tuner:{engine}", "median", space, 9)
    except EngineError:
        pass
assert not {"tensorflow", "keras", "keras_tuner"} & set(sys.modules)
before = dict(os.environ)
engine = make_engine(name="x", engine="keras-tuner:random", pruner="none", space=space,
                     objective=ks.Objective("val_loss", "min"), epochs=9, seed=0)
assert engine.ask().number == 0
assert dict(os.environ) == before, set(os.environ.items()) ^ set(before.items())
import keras, tensorflow
assert keras.backend.backend() == "tensorflow"
assert tensorflow.config.get_visible_devices("GPU") == []
"""
    root = Path(__file__).parents[2]
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
