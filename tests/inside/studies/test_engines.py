"""Engines: the conformance suite, and comparisons with Optuna's and Keras Tuner's own loops."""

import importlib.util
import itertools
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras_tuner
import numpy as np
import pytest
from conformance.engine import (
    CONTINUOUS,
    SMALL,
    SPACE,
    EngineConformance,
    Played,
    ask,
    curve,
    make,
    promoted_from,
    proposed,
    tell,
)
from keras_tuner import oracles

import kerastudy as ks
from search_spaces import EngineError, KerasTunerSpace, SearchSpace, canonical_json
from studies.definition import ENGINES, HYPERBAND, PRUNERS, hyperband_trials, sampler_seed
from studies.engines import Engine, check_engine_serves
from tracking.records import BestEpoch, Objective, Proposal, TrialRecord, TrialResult

TORCH = importlib.util.find_spec("torch") is not None
HERE = [name for name in ENGINES if TORCH or name != "optuna:gp"]
# The pruner `threshold` has no default bounds.
PRUNING = [
    "threshold,upper=8.05" if name == "threshold" else name for name in PRUNERS if name != "none"
]


@pytest.mark.parametrize(
    "engine, pruner",
    [
        *((engine, "none") for engine in HERE if engine.startswith("optuna:")),
        # Settings, as they are also read from `TPESampler(multivariate=False, seed=3, …)`.
        ("optuna:tpe,multivariate=false,n_startup_trials=3,seed=3", "median,n_warmup_steps=1"),
    ],
)
class TestOptuna(EngineConformance):
    @pytest.fixture
    def make(self, engine: str, pruner: str) -> Callable[..., Engine]:
        return lambda space, seed=7: make(engine, pruner, space, seed)


@pytest.mark.parametrize(
    "engine, pruner", [("random", "none"), ("hyperband", "none"), ("random", "hyperband")]
)
class TestKerasTuner(EngineConformance):
    never_repeats = True

    @pytest.fixture
    def make(self, engine: str, pruner: str) -> Callable[..., Engine]:
        return lambda space, seed=7: make(f"keras-tuner:{engine}", pruner, space, seed)


class TestBayesian(EngineConformance):
    # Four random trials, and then the Gaussian process.
    space = SMALL
    trials = 9
    never_repeats = True

    @pytest.fixture
    def make(self) -> Callable[..., Engine]:
        engine = "keras-tuner:bayesian,beta=3.0,num_initial_points=4"
        return lambda space, seed=7: make(engine, "none", space, seed)


def test_other_seed_other_proposals() -> None:
    for engine in (name for name in HERE if not name.endswith(":grid")):
        first, second = (Played(make(engine, seed=seed)).play(6) for seed in (1, 2))
        assert first != second, engine


# Against the libraries' own loops


def oracle_of(engine: str) -> Any:
    common: dict[str, Any] = {
        "objective": keras_tuner.Objective("val_loss", "min"),
        "hyperparameters": KerasTunerSpace(CONTINUOUS).hyperparameters(),
    }
    if engine == "hyperband":
        return oracles.HyperbandOracle(max_epochs=9, hyperband_iterations=2, **common)
    kinds = {"random": oracles.RandomSearchOracle, "bayesian": oracles.BayesianOptimizationOracle}
    return kinds[engine](max_trials=None, **common)


@pytest.mark.filterwarnings("ignore::DeprecationWarning:keras_tuner")
@pytest.mark.parametrize(
    ("engine", "trials"), [("random", 8), ("bayesian", 8), ("hyperband", hyperband_trials(9) + 11)]
)
def test_proposes_what_keras_tuner_does(engine: str, trials: int, tmp_path: Path) -> None:
    """The test asks and tells the oracle as a tuner does, from the same random state each time."""
    oracle, played = oracle_of(engine), Played(make(f"keras-tuner:{engine}", epochs=9))
    oracle._set_project_dir(str(tmp_path), "plain")
    oracle.verbose = 0
    translated = KerasTunerSpace(CONTINUOUS)
    for number in range(trials):
        seed = sampler_seed(7, number)
        oracle._seed_state = seed
        if engine == "bayesian":
            oracle._random_state = np.random.RandomState(seed)
            oracle.gpr.random_state = seed
        trial = oracle.create_trial("tuner")
        proposal = played.ask()
        values = trial.hyperparameters.values
        assert proposal.values == translated.decode(values)
        assert proposal.epochs == values.get("tuner/epochs")
        past = values.get("tuner/trial_id")
        assert promoted_from(proposal) == (None if past is None else int(past))
        played.finish(proposal)
        oracle.update_trial(trial.trial_id, {"val_loss": played.records[-1].value}, step=1)
        trial.status = "COMPLETED"
        oracle.end_trial(trial)


# What each kind proposes


def test_quasi_random_covers_each_parameter_evenly() -> None:
    """Each quarter of a range, in its scale, has its share of the first 32 points."""
    space = SearchSpace(ks.Float("a", 1e-4, 1.0, scale="log"), ks.Float("b", 0.0, 1.0))
    engine = make("optuna:quasi-random", space=space)
    points = [p.values for p in itertools.islice(iter(engine.ask, None), 32)]
    for name in ("a", "b"):
        units = [space[name].to_unit(values[name]) for values in points]
        for quarter in range(4):
            assert 6 <= sum(quarter / 4 <= u < (quarter + 1) / 4 for u in units) <= 10


def test_a_grid_is_walked_once_also_while_trials_run() -> None:
    space = SearchSpace(
        ks.Float("rate", 0, 0.5, step=0.1),
        ks.Int("units", 4, 16, scale="log"),
        ks.Choice("kind", [None, True, 1], default=1),
        ks.Boolean("extra", when={"kind": [None, 1]}),
        ks.Int("depth", 1, 2, when={"extra": True, "rate": [0.1, 0.5]}),
        ks.Fixed("loss", None),
    )
    texts = [canonical_json(p.values) for p in iter(make("optuna:grid", space=space).ask, None)]
    assert sorted(texts) == sorted(canonical_json(values) for values in space.grid())


def test_bayesian_learns_in_the_objectives_own_direction() -> None:
    engine = make(
        "keras-tuner:bayesian",
        space=SearchSpace(ks.Float("rate", 0.0, 1.0)),
        objective=Objective("val_f1_score", "max"),
    )
    distances = []
    for number in range(8):
        distances.append(abs(ask(engine).values["rate"] - 0.7))
        tell(engine, number, 1.0 - distances[-1])
    assert min(distances[3:]) < 0.05


def test_bayesian_takes_running_trials_into_account_alike_after_a_restart() -> None:
    played = Played(make("keras-tuner:bayesian"))
    played.play(7)
    running = [played.ask(), played.ask()]
    resumed = make("keras-tuner:bayesian")
    in_flight = [played.unfinished(proposal) for proposal in running]
    resumed.restore([*played.records, *in_flight], curve)
    proposal, expected = resumed.ask(), played.ask()
    assert proposal is not None and proposal == expected


def test_a_rare_configuration_is_found() -> None:
    """Keras Tuner takes 20 collisions in a row for the end of the space."""
    space = SearchSpace(
        ks.Boolean("extra"), ks.Int("depth", 1, 150, when={"extra": True}), ks.Fixed("units", 1)
    )
    for engine in ("random", "hyperband"):
        anew = [
            canonical_json(proposal.values)
            for proposal in iter(make(f"keras-tuner:{engine}", space=space).ask, None)
            if promoted_from(proposal) is None
        ]
        assert sorted(anew) == sorted(map(canonical_json, space.grid()))


def test_the_last_continuous_branch_is_gone_on_with() -> None:
    kinds = [str(i) for i in range(60)]
    space = SearchSpace(ks.Choice("kind", kinds), ks.Float("rate", 0.1, 0.2, when={"kind": "7"}))
    engine = make("keras-tuner:random", space=space)
    for kind in kinds:
        if kind != "7":
            engine.ask({"kind": kind})
    assert [ask(engine).values["kind"], ask(engine).values["kind"]] == ["7", "7"]


@pytest.mark.parametrize(
    ("engine", "changed", "message"),
    [
        ("optuna:grid", {"space": CONTINUOUS}, "'rate' is continuous.*optuna:quasi-random"),
        ("optuna:cma-es", {"space": SearchSpace(ks.Boolean("a"))}, "CMA-ES"),
        pytest.param(
            *("optuna:gp,n_startup_trials=5", {}, r"needs PyTorch.*pip install 'kerastudy\[gp\]'"),
            marks=pytest.mark.skipif(TORCH, reason="PyTorch is installed"),
        ),
        *(
            (name, {"space": SearchSpace(ks.Int("tuner/epochs", 1, 3))}, "'tuner/epochs'.*optuna:t")
            for name in ENGINES
            if name.startswith("keras-tuner:")
        ),
        (HYPERBAND, {"space": SearchSpace(ks.dropout(), ks.epochs(2, 4))}, "'epochs' is in the se"),
        (HYPERBAND, {"space": SearchSpace(ks.Fixed("rate", 1))}, "Fixed"),
        (HYPERBAND, {"epochs": 1}, "at least 2 epochs. Received: 1"),
        (HYPERBAND, {"pruner": "median"}, "'median'"),
        ("optuna:tpe,n_startup_trials=few", {}, "of type int"),
        ("optuna:tpe,n_ei_candidates=0", {}, "at least 1"),
        ("keras-tuner:bayesian,alpha=-1", {}, "at least 0"),
        ("optuna:grid,a=1", {}, "It has no settings"),
        ("optuna:tpe,n_startup_trial=3", {}, "Did you mean 'n_startup_trials'"),
        ("keras-tuner:bayesian,bets=1", {}, "Did you mean 'beta'"),
        ("keras-tuner:hyperband,factor=1", {}, "'factor' of keras-tuner:hyper"),
    ],
)
def test_what_an_engine_can_not_serve_is_refused(
    engine: str, changed: dict[str, Any], message: str
) -> None:
    usual: dict[str, Any] = {"pruner": "none", "space": SMALL, "epochs": 9}
    with pytest.raises(EngineError, match=message):
        check_engine_serves(engine, **{**usual, **changed})


# Hyperband: brackets, promotions, infeasible trials


def hyperband(**settings: Any) -> Engine:
    return make(HYPERBAND, **{"epochs": 9, **settings})


def epochs_of(played: Played) -> list[int]:
    return [record.spec.epochs for record in played.records]


def test_a_round_is_as_long_as_said() -> None:
    for epochs in (2, 3, 4, 9, 10, 30):
        played = Played(hyperband(epochs=epochs))
        trials = hyperband_trials(epochs)
        played.play(trials + 1)
        brackets = [json.loads(r.engine_state["tuner/bracket"]) for r in played.records]
        # The last bracket only trains to the end; then the first begins anew.
        assert brackets[-2] == 0
        assert brackets[-1] == brackets[0] == max(brackets)
        assert max(epochs_of(played)) == epochs


@pytest.mark.parametrize(
    "infeasible, rungs",
    [
        # If one trial fails, Keras Tuner makes 9, 2, 0 of 9, 3, 1.
        ([3], [1] * 9 + [3] * 3 + [9]),
        ([0, 1, 2, 3, 4, 5, 6], [1] * 9 + [3] * 2 + [9]),
        ([*range(8)], [1] * 9 + [3] + [9]),
        ([*range(9)], [1] * 9),
        # All promoted trials fail, so no trial is left to promote.
        ([9, 10, 11], [1] * 9 + [3] * 3),
        ([9, 11], [1] * 9 + [3] * 3 + [9]),
        ([*range(7), 9], [1] * 9 + [3] * 2 + [9]),
    ],
)
def test_an_infeasible_trial_costs_its_bracket_nothing(
    infeasible: Sequence[int], rungs: list[int]
) -> None:
    played = Played(hyperband())
    played.play(len(rungs) + 1, infeasible)
    assert epochs_of(played)[:-1] == rungs
    # The next bracket begins with three epochs.
    assert played.records[-1].spec.epochs == 3
    assert promoted_from(played.records[-1]) is None


def test_the_best_are_promoted_in_the_objectives_own_direction() -> None:
    """Keras Tuner infers that val_f1_score is to be minimized."""
    engine = hyperband(objective=Objective("val_f1_score", "max"))
    for score in (0.3, 0.9, 0.1, 0.8, 0.2, 0.7, 0.4, 0.6, 0.5):
        tell(engine, ask(engine).number, score)
    assert [promoted_from(ask(engine)) for _ in range(3)] == [1, 3, 5]


def test_given_takes_the_next_place_of_a_first_rung() -> None:
    through, with_given = (Played(hyperband()) for _ in range(2))
    expected = through.play(9)
    for number in range(9):
        proposal = with_given.ask({"rate": 1e-4, "units": 64} if number == 4 else None)
        assert proposal.epochs == 1
        if number != 4:
            assert proposed(proposal) == expected[number]
        with_given.finish(proposal)
    # Given values come before the promoted trials of the next bracket.
    early = with_given.ask({"rate": 1e-4, "units": 63})
    assert (early.epochs, promoted_from(early), early.values["units"]) == (3, None, 63)
    with_given.finish(early)
    promoted = with_given.ask()
    assert promoted_from(promoted) is not None


def test_an_exhausted_space_still_has_its_best_promoted() -> None:
    space = SearchSpace(ks.Int("units", 1, 4), ks.Fixed("rate", 0.01))
    played = Played(hyperband(space=space))
    while (proposal := played.ask()) is not None:
        played.finish(proposal)
    assert epochs_of(played) == [1] * 4 + [3] * 3 + [9]


@pytest.mark.parametrize("seed", range(4))
def test_hyperband_is_restored_at_any_point(seed: int) -> None:
    """This holds for all infeasible trials, and for any order in which running trials end."""
    generator = random.Random(seed)
    infeasible = {number for number in range(30) if generator.random() < 0.4}
    played = Played(hyperband())
    running: list[Proposal] = []
    for number in range(30):
        if len(running) == 3:
            ended = running.pop(generator.randrange(3))
            played.finish(ended, ended.number in infeasible)
        records = {r.number: r for r in played.records}
        records.update({p.number: played.unfinished(p) for p in running})
        resumed = hyperband()
        resumed.restore([records[n] for n in sorted(records)], curve)
        proposal = played.ask()
        assert proposal.number == number
        assert resumed.ask() == proposal
        running.append(proposal)


# Pruners


@pytest.mark.parametrize("pruner", PRUNING)
def test_a_trial_that_is_told_again_is_judged_as_the_first_time(pruner: str) -> None:
    """Its process died, and it came less far than before. Its later reports no longer count."""
    engine = make("optuna:random", pruner, epochs=9)
    for number in range(8):
        ask(engine)
        for epoch in range(1, 10):
            engine.report(number, epoch, 10.0 + number - epoch)
        tell(engine, number, number)
    ask(engine)
    # This trial is the best at first, and the only one that gets worse.
    first = [engine.report(8, epoch, 8.0 + epoch / 100) for epoch in range(1, 10)]
    again = [engine.report(8, epoch, 8.0 + epoch / 100) for epoch in range(1, 10)]
    assert any(first) and not first[0]
    assert again == first


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
    mine = make(f"keras-tuner:{engine}", pruner, SPACE, epochs=9)
    optunas = make("optuna:random", pruner, SPACE, epochs=9)
    pruned = 0
    for number in range(14):
        optunas.ask(ask(mine).values)
        for epoch in range(1, 10):
            value = number + abs(epoch - 3) / 10
            prunes = mine.report(number, epoch, value)
            assert prunes == optunas.report(number, epoch, value)
            if prunes:
                break
        pruned += prunes
        best = BestEpoch(min(epoch, 3), float(number), {})
        result = TrialResult(number, "pruned" if prunes else "complete", epoch, best)
        mine.tell(number, result)
        optunas.tell(number, result)
    assert pruned


@pytest.mark.parametrize(
    "pruner",
    [
        *("successive-halving", "successive-halving,min_resource=auto"),
        *("hyperband", "hyperband,max_resource=auto"),
    ],
)
def test_what_a_pruner_noted_of_trials_is_restored(pruner: str) -> None:
    """Recorded trials are then judged one by one, where possible."""

    def played(recorded: Sequence[TrialRecord] = ()) -> Played:
        return Played(make("optuna:random", pruner, SPACE, epochs=9), recorded, epochs=9)

    through = played()
    through.play(40)
    resumed = played(through.records[:20])
    resumed.engine.restore(resumed.records, curve)
    resumed.play(20)
    expected = [record.result for record in through.records]
    assert [record.result for record in resumed.records] == expected
    assert len({result and result.epochs for result in expected[20:]}) >= 2, "else it shows nothing"


# The process that asks


@pytest.mark.parametrize("engine", ["random", "bayesian", "hyperband"])
def test_writes_no_file_and_prints_nothing(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Four trials in a row are infeasible. Keras Tuner alone would stop at the third."""
    monkeypatch.chdir(tmp_path)
    played = Played(make(f"keras-tuner:{engine}", space=SMALL))
    played.play(7, infeasible=(1, 2, 3, 4))
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")
