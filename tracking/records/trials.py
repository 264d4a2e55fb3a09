"""A trial in the record: its spec, its state, its result."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tracking.records.results import FINISHED_STATES, Repeat, TrialResult, TrialState
from tracking.records.specs import ALL_FOLDS, BestEpoch, TrialSpec
from tracking.records.verified import differs


@dataclass(frozen=True, repr=False)
class TrialRecord:
    """A trial in the record. One that has a result is an `EndedTrial`.

    Attributes:
        run_id: The MLflow run of its last attempt.
        spec: Its spec.
        state: Its state.
        result: None, as long as it has none.
        engine_state: See `Proposal.state`.
        environment: Versions and machine that it ran on.
        code_digest: Digest of the study file that it ran from.
        started: When it began, in milliseconds since the epoch (Unix time).
        known: See `Proposal.known`.
        losses: How many of its attempts ended with the process that they ran in.
        verified: Whether plain `model.fit` verified it; see `tracking.records.verified`. Empty if
            it was not compared.
        ended: When it ended, as `started`; 0 while it runs.
        whole: Of a cross-validated trial: its training on all folds together, if it was the
            champion. Its best epoch is the trial's, with the values of the folds.
    """

    run_id: str
    spec: TrialSpec
    state: TrialState
    result: TrialResult | None
    engine_state: Mapping[str, str]
    environment: Mapping[str, str]
    code_digest: str
    started: int
    known: int | None = None
    losses: int = 0
    verified: str = ""
    ended: int = 0
    whole: Repeat | None = None

    @property
    def number(self) -> int:
        """The trial's number in its study, counted from 0."""
        return self.spec.number

    @property
    def holds(self) -> bool:
        """Whether `model.fit` does not contradict its value."""
        return not differs(self.verified)

    @property
    def data_digest(self) -> str:
        """SHA-256 over the data that it was trained on, if known."""
        return self.spec.data_digest

    @property
    def best(self) -> BestEpoch | None:
        """The trial's best epoch, if it has one."""
        return None

    @property
    def value(self) -> float | None:
        """The objective at its best epoch, if it has one."""
        return None if self.best is None else self.best.value

    @property
    def epoch(self) -> int | None:
        """Its best epoch, counted from 1, if it has one.

        An objective function that trains several models, or none, has a value of no epoch.
        """
        return None if self.best is None else self.best.epoch

    @property
    def params(self) -> Mapping[str, Any]:
        """The active hyperparameters by name."""
        return self.spec.values

    def __repr__(self) -> str:
        """Returns one line: its number, state and best value."""
        told = f"<trial {self.number}: {self.state}"
        if self.best is None:
            return f"{told}>"
        metric = self.spec.objective.metric
        at = "" if self.epoch is None else f" at epoch {self.epoch}"
        return f"{told}, {metric} {self.best.value:.6g}{at}>"

    def with_result(self, result: TrialResult) -> EndedTrial:
        """Returns the trial with its result."""
        fields = {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}
        return EndedTrial(**{**fields, "state": result.state, "result": result})


@dataclass(frozen=True, repr=False)
class EndedTrial(TrialRecord):
    """A trial that has a result: complete, pruned, infeasible, or interrupted on its way.

    Attributes:
        result: Its result.
    """

    result: TrialResult

    @property
    def data_digest(self) -> str:
        """SHA-256 over the data that it was trained on, if known."""
        return self.result.data_digest or self.spec.data_digest

    @property
    def cut_short(self) -> bool:
        """Whether something else than its own callbacks ended it before its last epoch."""
        return self.state == "pruned" or bool(self.result.reason)

    @property
    def best(self) -> BestEpoch | None:
        """The trial's best epoch, if it has one."""
        return self.result.best

    @property
    def epoch(self) -> int | None:
        """Its best epoch, counted from 1, if its value is of one."""
        return None if self.result.of_no_epoch else super().epoch

    @property
    def best_training(self) -> tuple[TrialSpec, BestEpoch]:
        """The training that the trial's checkpoint comes from, and its best epoch.

        Of a cross-validated trial the one on all folds, if there is one. Else of a repeated trial
        the best of its repeats; of any other the trial itself.
        """
        assert self.result.best is not None, "it has no checkpoint"
        if self.whole is not None:
            return self.whole_spec, self.whole.best
        if not self.result.repeats:
            return self.spec, self.result.best
        repeat = self.result.best_repeat
        found = self.result.repeats[repeat]
        spec = dataclasses.replace(self.spec, seed=found.seed, repeat=repeat, fold=found.fold)
        return spec, found.best

    @property
    def whole_spec(self) -> TrialSpec:
        """The training of a cross-validated trial on all folds, up to the trial's best epoch."""
        assert self.result.best is not None, "it has a value"
        return dataclasses.replace(
            self.spec,
            epochs=self.result.best.epoch,
            repeat=len(self.result.repeats),
            fold=ALL_FOLDS,
            goes_on_from=None,
            initial_epoch=0,
        )

    @property
    def checkpoint_of(self) -> int:
        """Which of its trainings the trial's checkpoint comes from; see `TrialSpec.repeat`."""
        return self.result.best_repeat if self.whole is None else len(self.result.repeats)


def finished_trials(trials: Iterable[TrialRecord]) -> list[EndedTrial]:
    """Returns the trials that are complete, pruned or infeasible."""
    return [t for t in trials if isinstance(t, EndedTrial) and t.state in FINISHED_STATES]
