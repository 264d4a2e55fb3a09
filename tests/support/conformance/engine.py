"""The conformance suite of engines."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from suite import exhaustive_but

import kerastudy as ks
from search_spaces import SearchSpace, canonical_json
from studies.definition import trial_seed
from studies.engines import Engine, EngineSettings, make_engine
from tracking.records import BestEpoch, Objective, Proposal, TrialRecord, TrialResult, TrialSpec

OBJECTIVE = Objective("val_loss", "min")
EPOCHS = 3

# All kinds of parameters, a condition, and values that are equal in Python but not in JSON.
SPACE = SearchSpace(
    ks.Float("rate", 1e-4, 1e-1, scale="log", step=10),
    ks.Int("units", 4, 12, step=4),
    ks.Choice("kind", [None, 1, True, "a"]),
    ks.Boolean("extra"),
    ks.Float("extra_rate", 0.0, 0.3, step=0.1, when={"extra": True}),
    ks.Fixed("fixed", 3),
)


CONTINUOUS = SearchSpace(ks.Float("rate", 1e-4, 1e-1, scale="log"), ks.Int("units", 1, 64))
SMALL = SearchSpace(ks.Float("rate", 1e-3, 1e-1, scale="log", step=10), ks.Int("units", 1, 16))


def make(
    engine: str, pruner: str = "none", space: SearchSpace = CONTINUOUS, seed: int = 7, **others: Any
) -> Engine:
    settings = {"name": "conformance", "objective": OBJECTIVE, "epochs": EPOCHS, **others}
    return make_engine(
        EngineSettings(engine=engine, pruner=pruner, space=space, seed=seed, **settings)
    )


def ask(engine: Engine) -> Proposal:
    proposal = engine.ask()
    assert proposal is not None
    return proposal


def tell(engine: Engine, number: int, value: float) -> None:
    engine.tell(number, TrialResult(number, "complete", 1, BestEpoch(1, value, {})))


def value_of(values: Mapping[str, object], epoch: int) -> float:
    """Returns an objective to minimize. It depends on the values, and improves in each epoch."""
    rate, units = values.get("rate", 0.1), values["units"]
    penalty = 0.1 * (values.get("kind") is None)
    penalty += 0.05 * float(str(values.get("extra_rate", 0.3)))
    return abs(rate - 1e-2) * 10 + abs(units - 8) / 8 + penalty + 1.0 / epoch


Proposed = tuple[int, Mapping[str, object], int | None]


class Played:
    """A study that is played with an engine, without training, and the records of its trials."""

    def __init__(
        self,
        engine: Engine,
        recorded: Sequence[TrialRecord] = (),
        epochs: int = EPOCHS,
        value_of: Callable[[Mapping[str, object], int], float] = value_of,
    ) -> None:
        self.engine, self.epochs, self.value_of = engine, epochs, value_of
        self.records = list(recorded)

    def play(self, trials: int, infeasible: Sequence[int] = ()) -> list[Proposed]:
        """Plays trials, and returns the proposals without the engine's state."""
        proposals: list[Proposed] = []
        for _ in range(trials):
            proposal = self.ask()
            proposals.append(proposed(proposal))
            self.finish(proposal, proposal.number in infeasible)
        return proposals

    def ask(self, values: Mapping[str, object] | None = None) -> Proposal | None:
        """Asks, and checks that a promoted trial trains the values of a complete one for longer."""
        proposal = self.engine.ask(values)
        past = None if proposal is None else promoted_from(proposal)
        if past is not None:
            before = self.record(past)
            assert before.state == "complete"
            assert proposal.values == before.spec.values
            assert proposal.epochs is not None and proposal.epochs > before.spec.epochs
        return proposal

    def finish(self, proposal: Proposal, infeasible: bool = False) -> None:
        spec = self._spec(proposal)
        failed = TrialResult(proposal.number, "infeasible", reason="made up")
        result = failed if infeasible else self._train(spec)
        self.engine.tell(proposal.number, result)
        self.records.append(record(spec, proposal, result))

    def unfinished(self, proposal: Proposal) -> TrialRecord:
        """Returns the record of a trial that is running."""
        return record(self._spec(proposal), proposal, None)

    def record(self, number: int) -> TrialRecord:
        """Returns the record of an ended trial. Trials may end in any order."""
        return next(record for record in self.records if record.number == number)

    def _train(self, spec: TrialSpec) -> TrialResult:
        state, epoch, value = "complete", 0, 0.0
        for epoch in range(1, spec.epochs + 1):
            value = self.value_of(spec.values, epoch)
            if self.engine.report(spec.number, epoch, value) and epoch < spec.epochs:
                state = "pruned"
                break
        best = BestEpoch(epoch, value, {"val_loss": value})
        return TrialResult(spec.number, state, epochs=epoch, best=best)  # type: ignore[arg-type]

    def _spec(self, proposal: Proposal) -> TrialSpec:
        seed, epochs = trial_seed(0, proposal.number), proposal.epochs or self.epochs
        return TrialSpec(
            proposal.number, 1, proposal.values, seed, epochs, 32, 1, "digest", OBJECTIVE
        )


def proposed(proposal: Proposal) -> Proposed:
    return proposal.number, proposal.values, proposal.epochs


def promoted_from(proposed: Proposal | TrialRecord) -> int | None:
    """Returns the number of the trial whose values Hyperband promotes, or None."""
    state = proposed.state if isinstance(proposed, Proposal) else proposed.engine_state
    number = state.get("tuner/trial_id")
    return None if number is None else int(json.loads(number))


def record(spec: TrialSpec, proposal: Proposal, result: TrialResult | None) -> TrialRecord:
    trial = TrialRecord("run", spec, "interrupted", None, proposal.state, {}, "", 0)
    return trial if result is None else trial.with_result(result)


def curve(trial: TrialRecord) -> dict[int, float]:
    return {e: value_of(trial.spec.values, e) for e in range(1, trial.result.epochs + 1)}


class EngineConformance:
    """The tests of all engines. A subclass has a fixture `make`, which makes an engine.

    Attributes:
        space: The search space. It has at least a Float ``rate`` and an Int ``units``.
        trials: The number of trials in tests that need many.
        never_repeats: Whether the engine tries no configuration twice, except to promote it, and
            ends when a finite space is exhausted.
    """

    space = SPACE
    trials = 18
    never_repeats = False

    @pytest.fixture
    def make(self) -> Callable[..., Engine]:
        raise NotImplementedError

    def test_proposes_exactly_declared_values(self, make: Callable[..., Engine]) -> None:
        for _, values, *_ in Played(make(SPACE)).play(min(15, self.trials - 1)):
            assert SPACE.contains(values)
            assert list(values) == [name for name in SPACE.names if name in values]
            for name, value in values.items():
                listed = SPACE[name].grid_values()
                assert listed is None or (type(value), value) in [(type(v), v) for v in listed]

    @pytest.mark.parametrize("rest", exhaustive_but([11], [17, 11, 4, 2]))
    def test_resumed_proposes_what_an_uninterrupted_one_would(
        self, make: Callable[..., Engine], rest: int
    ) -> None:
        infeasible = (2, self.trials // 2)
        count = max(1, self.trials - rest)
        through = Played(make(self.space))
        expected = through.play(self.trials, infeasible)
        assert [number for number, *_ in expected] == list(range(self.trials))
        before = Played(make(self.space))
        before.play(count, infeasible)
        resumed = Played(make(self.space), before.records)
        resumed.engine.restore(before.records, curve)
        assert resumed.play(self.trials - count, infeasible) == expected[count:]
        assert [r.result for r in resumed.records] == [r.result for r in through.records]

    def test_resumed_with_a_trial_in_flight(self, make: Callable[..., Engine]) -> None:
        count = self.trials - 4
        through = Played(make(self.space))
        expected = through.play(self.trials)
        before = Played(make(self.space))
        before.play(count)
        in_flight = before.ask()
        assert proposed(in_flight) == expected[count]
        records = [*before.records, before.unfinished(in_flight)]
        resumed = Played(make(self.space), before.records)
        resumed.engine.restore(records, curve)
        resumed.finish(in_flight)
        assert resumed.play(3) == expected[count + 1 :]

    @pytest.mark.parametrize("count", [0, 5])
    def test_given_is_proposed_next(self, make: Callable[..., Engine], count: int) -> None:
        through = Played(make(self.space))
        tried = [values for _, values, *_ in through.play(count)]
        configuration = next(v for v in reversed(list(self.space.grid())) if v not in tried)
        proposal = through.ask(dict(reversed(configuration.items())))
        assert proposal.number == count
        assert promoted_from(proposal) is None
        assert json.dumps(proposal.values) == json.dumps(configuration)
        through.finish(proposal)
        resumed = Played(make(self.space), through.records)
        resumed.engine.restore(resumed.records, curve)
        assert resumed.play(4) == through.play(4)
        if self.never_repeats:
            further = through.records[count + 1 :]
            assert configuration not in [r.spec.values for r in further if promoted_from(r) is None]

    @pytest.mark.parametrize("infeasible", [(), range(100)])
    def test_ends_when_all_has_been_tried_and_only_then(
        self, make: Callable[..., Engine], infeasible: Sequence[int]
    ) -> None:
        if not self.never_repeats:
            return
        # One of eleven configurations is drawn half as often as the others.
        space = SearchSpace(
            ks.Choice("kind", list("abcdefghij"), default="c"),
            ks.Float("rate", 0.1, 0.2, step=0.1, when={"kind": "b"}, otherwise=0.1),
            ks.Fixed("units", 8),
        )
        played = Played(make(space))
        anew = []
        while (proposal := played.ask()) is not None:
            if promoted_from(proposal) is None:
                anew.append(canonical_json(proposal.values))
            played.finish(proposal, infeasible=proposal.number in infeasible)
        assert sorted(anew) == sorted(map(canonical_json, space.grid()))
        assert played.ask() is None
        resumed = Played(make(space), played.records)
        resumed.engine.restore(played.records, curve)
        assert resumed.ask() is None

    def test_takes_what_is_not_finite(self, make: Callable[..., Engine]) -> None:
        played = Played(make(SPACE))
        proposal = played.engine.ask()
        assert played.engine.report(proposal.number, 1, float("nan")) is False
        played.engine.tell(proposal.number, TrialResult(0, "infeasible", reason="nan"))
        following = played.engine.ask()
        assert following is not None and following.number == 1
