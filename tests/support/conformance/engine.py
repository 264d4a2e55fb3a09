"""What every engine must do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest

import kerastudy as ks
from search_spaces import SearchSpace
from studies.engines.engine import Engine
from studies.seeds import trial_seed
from tracking.records import BestEpoch, Objective, Proposal, TrialRecord, TrialResult, TrialSpec

OBJECTIVE = Objective("val_loss", "min")
EPOCHS = 3

# Kinds of parameter, a condition, and values that are equal in Python and not in JSON.
SPACE = SearchSpace(
    ks.Float("rate", 1e-4, 1e-1, scale="log", step=10),
    ks.Int("units", 4, 12, step=4),
    ks.Choice("kind", [None, 1, True, "a"]),
    ks.Boolean("extra"),
    ks.Float("extra_rate", 0.0, 0.3, step=0.1, when={"extra": True}),
    ks.Fixed("fixed", 3),
)


def value_of(values: Mapping[str, object], epoch: int) -> float:
    """An objective to minimize: a function of the values, better each epoch."""
    rate, units = values["rate"], values["units"]
    assert isinstance(rate, float) and isinstance(units, int)
    penalty = 0.1 * (values["kind"] is None) + 0.05 * float(str(values.get("extra_rate", 0.3)))
    return abs(rate - 1e-2) * 10 + abs(units - 8) / 8 + penalty + 1.0 / epoch


Proposed = tuple[int, Mapping[str, object]]


class Played:
    """A study played with an engine, without training: what was proposed and recorded."""

    def __init__(self, engine: Engine, recorded: Sequence[TrialRecord] = ()) -> None:
        self.engine = engine
        self.records = list(recorded)

    def play(self, trials: int, infeasible: Sequence[int] = ()) -> list[Proposed]:
        """Plays trials; returns their numbers and values (an engine's state may be any text)."""
        proposals: list[Proposed] = []
        for _ in range(trials):
            proposal = self.engine.ask()
            assert proposal is not None
            proposals.append((proposal.number, proposal.values))
            self.finish(proposal, proposal.number in infeasible)
        return proposals

    def finish(self, proposal: Proposal, infeasible: bool = False) -> None:
        number = proposal.number
        if infeasible:
            result = TrialResult(number, "infeasible", reason="made up")
        else:
            result = self._train(proposal)
        self.engine.tell(number, result, {"note": "made up"})
        self.records.append(record(proposal, result))

    def _train(self, proposal: Proposal) -> TrialResult:
        state, epoch, value = "complete", 0, 0.0
        for epoch in range(1, EPOCHS + 1):
            value = value_of(proposal.values, epoch)
            if self.engine.report(proposal.number, epoch, value) and epoch < EPOCHS:
                state = "pruned"
                break
        best = BestEpoch(epoch, value, {"val_loss": value})
        return TrialResult(proposal.number, state, epochs=epoch, best=best)  # type: ignore[arg-type]


def record(proposal: Proposal, result: TrialResult | None) -> TrialRecord:
    spec = TrialSpec(
        proposal.number,
        1,
        proposal.values,
        trial_seed(0, proposal.number),
        EPOCHS,
        32,
        1,
        "digest",
        OBJECTIVE,
    )
    state = "interrupted" if result is None else result.state
    return TrialRecord("run", spec, state, result, proposal.state, {}, "", 0)


def curve(trial: TrialRecord) -> dict[int, float]:
    assert trial.result is not None
    return {e: value_of(trial.spec.values, e) for e in range(1, trial.result.epochs + 1)}


class EngineConformance:
    """Subclass it, and give `make`: an engine over a space with a seed."""

    @pytest.fixture
    def make(self) -> Callable[..., Engine]:
        raise NotImplementedError

    def test_proposes_exactly_declared_values(self, make: Callable[..., Engine]) -> None:
        for _, proposed in Played(make(SPACE)).play(15):
            assert SPACE.contains(proposed), SPACE.contains(proposed).reason
            for name, value in proposed.items():
                values = SPACE[name].grid_values()
                assert values is None or (type(value), value) in [(type(v), v) for v in values]

    def test_numbers_trials_in_order(self, make: Callable[..., Engine]) -> None:
        assert [number for number, _ in Played(make(SPACE)).play(6)] == list(range(6))

    def test_same_seed_same_proposals(self, make: Callable[..., Engine]) -> None:
        assert Played(make(SPACE)).play(14) == Played(make(SPACE)).play(14)

    def test_seed_zero_is_a_seed(self, make: Callable[..., Engine]) -> None:
        assert Played(make(SPACE, seed=0)).play(14) == Played(make(SPACE, seed=0)).play(14)

    @pytest.mark.parametrize("done", [1, 7, 13])
    def test_resumed_proposes_what_an_uninterrupted_one_would(
        self, make: Callable[..., Engine], done: int
    ) -> None:
        through = Played(make(SPACE))
        wanted = through.play(18, infeasible=(2, 9))
        before = Played(make(SPACE))
        before.play(done, infeasible=(2, 9))
        resumed = Played(make(SPACE), before.records)
        resumed.engine.restore(before.records, curve)
        assert resumed.play(18 - done, infeasible=(2, 9)) == wanted[done:]
        assert [r.result for r in resumed.records] == [r.result for r in through.records]

    def test_resumed_with_a_trial_in_flight(self, make: Callable[..., Engine]) -> None:
        through = Played(make(SPACE))
        wanted = through.play(16)
        before = Played(make(SPACE))
        before.play(12)
        in_flight = before.engine.ask()
        assert in_flight is not None
        assert (in_flight.number, in_flight.values) == wanted[12]
        records = [*before.records, record(in_flight, None)]
        resumed = Played(make(SPACE), records)
        resumed.engine.restore(records, curve)
        resumed.finish(in_flight)
        assert resumed.play(3) == wanted[13:]

    def test_takes_what_is_not_finite(self, make: Callable[..., Engine]) -> None:
        played = Played(make(SPACE))
        proposal = played.engine.ask()
        assert proposal is not None
        assert played.engine.report(proposal.number, 1, float("nan")) is False
        played.engine.tell(proposal.number, TrialResult(0, "infeasible", reason="nan"), {})
        assert played.play(2)[0][0] == 1
