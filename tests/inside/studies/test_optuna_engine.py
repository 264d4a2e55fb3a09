"""Optuna behind the Engine seam."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import optuna
import pytest
from conformance.engine import EPOCHS, OBJECTIVE, SPACE, EngineConformance, Played, curve, value_of

import kerastudy as ks
from search_spaces import EngineError, OptunaSpace, SearchSpace
from studies.definition import ENGINES, PRUNERS, sampler_seed
from studies.engines import EngineSettings, OptunaEngine
from tracking.records import BestEpoch, TrialResult

# A threshold has no usual one.
PRUNING = [
    "threshold,upper=8.05" if name == "threshold" else name for name in PRUNERS if name != "none"
]
OPTUNA_ENGINES = [engine for engine in ENGINES if engine.startswith("optuna:")]


def make_engine(
    engine: str = "optuna:tpe",
    pruner: str = "none",
    space: SearchSpace = SPACE,
    seed: int = 7,
) -> OptunaEngine:
    return OptunaEngine(
        EngineSettings(
            name="conformance",
            engine=engine,
            pruner=pruner,
            space=space,
            objective=OBJECTIVE,
            epochs=EPOCHS,
            seed=seed,
        )
    )


@pytest.mark.parametrize(
    "engine, pruner",
    [
        *((engine, "none") for engine in OPTUNA_ENGINES),
        *(("optuna:tpe", pruner) for pruner in PRUNING),
        # Settings, as they are also read from `TPESampler(multivariate=False, seed=3, …)`.
        ("optuna:tpe,multivariate=false,n_startup_trials=3,seed=3", "median,n_warmup_steps=1"),
    ],
)
class TestConformance(EngineConformance):
    @pytest.fixture
    def make(self, engine: str, pruner: str) -> Callable[..., OptunaEngine]:
        return lambda space, seed=7: make_engine(engine, pruner, space, seed)


def test_other_seed_other_proposals() -> None:
    for engine in set(OPTUNA_ENGINES) - {"optuna:grid"}:
        first, second = (Played(make_engine(engine, seed=seed)).play(6) for seed in (1, 2))
        assert first != second, engine


def test_quasi_random_covers_each_parameter_evenly() -> None:
    """Among the first 32 points each quarter of a range, in its scale, has its share."""
    space = SearchSpace(ks.Float("a", 1e-4, 1.0, scale="log"), ks.Float("b", 0.0, 1.0))
    engine = make_engine("optuna:quasi-random", space=space)
    points = [p.values for p in itertools.islice(iter(engine.ask, None), 32)]
    for name in ("a", "b"):
        units = [space[name].to_unit(values[name]) for values in points]
        for quarter in range(4):
            assert 6 <= sum(quarter / 4 <= u < (quarter + 1) / 4 for u in units) <= 10


def test_grid_is_walked_once_and_then_exhausted() -> None:
    space = SearchSpace(ks.Boolean("a"), ks.Int("b", 1, 3, when={"a": True}))
    engine = make_engine("optuna:grid", space=space)
    proposals = list(iter(engine.ask, None))
    assert [p.values for p in proposals] == list(space.grid())
    assert len(proposals) == 4
    assert engine.ask() is None


def test_grid_refuses_what_is_continuous() -> None:
    with pytest.raises(EngineError, match="'rate' is continuous"):
        make_engine("optuna:grid", space=SearchSpace(ks.Float("rate", 0.0, 1.0)))


def test_cma_es_refuses_a_space_without_numbers() -> None:
    with pytest.raises(EngineError, match="CMA-ES"):
        make_engine("optuna:cma-es", space=SearchSpace(ks.Boolean("a")))


def test_tpe_learns() -> None:
    """Late proposals are better than early ones."""
    played = Played(make_engine("optuna:tpe"))
    played.play(40)
    values = [r.best.value for r in played.records if r.best is not None]
    assert sum(values[-10:]) < sum(values[:10])


def test_tpe_on_the_declared_space_is_optunas_own() -> None:
    """What spares the look through past trials changes nothing of what is proposed."""
    space = SearchSpace(ks.learning_rate(), ks.dropout(), ks.Boolean("extra"), ks.Fixed("one", 1))
    engine = make_engine("optuna:tpe", space=space, seed=3)
    study = optuna.create_study()
    for number in range(16):
        proposal = engine.ask()
        assert proposal is not None
        seed = sampler_seed(3, number)
        study.sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True)
        trial = study.ask()
        assert proposal.values == OptunaSpace(space).suggest(trial)
        value = abs(proposal.values["dropout"] - 0.2) + proposal.values["learning_rate"]
        study.tell(trial, value)
        engine.tell(number, TrialResult(number, "complete", best=BestEpoch(1, value, {})))


def test_median_prunes_the_hopeless_and_no_other() -> None:
    played = Played(make_engine("optuna:random", "median"))
    played.play(30)
    pruned = [r.best.value for r in played.records if r.state == "pruned" and r.best]
    complete = [r.best.value for r in played.records if r.state == "complete" and r.best]
    assert pruned
    assert min(pruned) > min(complete)


@pytest.mark.parametrize("pruner", PRUNING)
def test_a_trial_that_is_told_again_is_judged_as_the_first_time(pruner: str) -> None:
    """Its process died, and it came less far than before: what came later counts no more."""
    made = OptunaEngine(
        EngineSettings(
            name="again",
            engine="optuna:random",
            pruner=pruner,
            space=SPACE,
            objective=OBJECTIVE,
            epochs=9,
            seed=7,
        )
    )
    for number in range(8):
        assert made.ask() is not None
        for epoch in range(1, 10):
            made.report(number, epoch, 10.0 + number - epoch)
        made.tell(number, TrialResult(number, "complete", best=BestEpoch(9, number, {})))
    assert made.ask() is not None
    # The best of all at first, and the only one that gets worse.
    first = [made.report(8, epoch, 8.0 + epoch / 100) for epoch in range(1, 10)]
    again = [made.report(8, epoch, 8.0 + epoch / 100) for epoch in range(1, 10)]
    assert any(first) and not first[0]
    assert again == first


@pytest.mark.parametrize(
    "pruner",
    [
        "successive-halving",
        "successive-halving,min_resource=auto",
        "hyperband",
        "hyperband,max_resource=auto",
    ],
)
def test_what_a_pruner_noted_of_trials_is_restored(pruner: str) -> None:
    """Though each recorded trial is judged alone then, where it can be."""

    def make() -> OptunaEngine:
        return OptunaEngine(
            EngineSettings(
                name="noted",
                engine="optuna:random",
                pruner=pruner,
                space=SPACE,
                objective=OBJECTIVE,
                epochs=9,
                seed=7,
            )
        )

    def play(played: Played, trials: int) -> list[int]:
        """Plays trials of up to 9 epochs; returns after how many each ended."""
        ended = []
        for _ in range(trials):
            proposal = played.ask()
            assert proposal is not None
            number, values = proposal.number, proposal.values
            for epoch in range(1, 10):
                if played.engine.report(number, epoch, value_of(values, epoch)) and epoch < 9:
                    break
            best = BestEpoch(epoch, value_of(values, epoch), {})
            result = TrialResult(number, "pruned" if epoch < 9 else "complete", epoch, best)
            played.engine.tell(number, result)
            played.records.append(played.unfinished(proposal).with_result(result))
            ended.append(epoch)
        return ended

    through = Played(make())
    wanted = play(through, 40)
    resumed = Played(make(), through.records[:20])
    resumed.engine.restore(through.records[:20], curve)
    assert play(resumed, 20) == wanted[20:]
    assert len(set(wanted[20:])) >= 2, "else this shows nothing"
