"""The engine for the driver: it gets results as trials end, or in the order of numbers.

With several workers, timing decides which trial ends first, and proposals depend on the results so
far. A deterministic study therefore proposes and prunes trial k only by the results of trials up to
k - lag: results that come before their turn are parked (docs/decisions/0013).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from search_spaces import SearchSpace
from search_spaces.errors import EngineError, KerastudyError
from studies.definition.seeds import trial_seed
from studies.engines.engine import Curve, Engine
from studies.error_texts import describe
from tracking.records import (
    FINISHED_STATES,
    EndedTrial,
    EpochResult,
    Objective,
    Proposal,
    Rank,
    StudyDescription,
    TrainerName,
    TrialRecord,
    TrialSpec,
    TrialTask,
    finished_trials,
)
from tracking.store.files import StudyFiles, as_store_errors

EngineOf = Callable[[SearchSpace], Engine]


class Proposals:
    """Proposes trials."""

    engine: Engine

    def __init__(self, engine_of: EngineOf, curve: Curve, lag: int, objective: Objective) -> None:
        self._engine_of, self._curve = engine_of, curve
        self._lag, self._objective = lag, objective
        # In a deterministic study: the number of the next trial for the engine.
        self._told = 0
        self._parked: dict[int, EndedTrial] = {}

    def begin(self, space: SearchSpace, recorded: Sequence[TrialRecord]) -> None:
        """Restores the engine from the record."""
        if self._lag:
            # Late hyperparameters are in the space already, and so is the trial that declared them.
            finished = finished_trials(recorded)
            shown = [t.number + 1 for t in finished if t.result.joined]
            known = [t.known for t in recorded if t.known is not None]
            told = max([0, *known, *(n for n in shown if self._all_ended(recorded, n))])
            # It gets results in order: again from the first infeasible trial that is trained again.
            begun = [t.number for t in recorded if t.state not in FINISHED_STATES]
            self._told = min([told, *begun])
            self._parked = {t.number: t for t in finished if t.number >= self._told}
        self.restore(space, recorded, ())

    def restore(
        self, space: SearchSpace, trials: Sequence[TrialRecord], running: Iterable[EpochResult]
    ) -> None:
        """Makes a new engine: the one that a launch from the record would make."""
        with _naming("engine", "when it was made from the record"):
            self.engine = self._engine_of(space)
            self.engine.restore(trials, self._curve, self._told if self._lag else None)
            for trial in trials:
                if trial.number in self._parked:
                    for epoch, value in self._curve(trial).items():
                        self.engine.report(trial.number, epoch, value)
        for epoch_result in running:
            self.report(epoch_result)

    def told_of(self, finished: Iterable[int]) -> set[int]:
        """Returns those of a record's finished trials that the engine knows of."""
        return {number for number in finished if not self._lag or number < self._told}

    def lacks(self, number: int) -> bool:
        """Returns whether the engine needs more results before it proposes this trial."""
        return self._lag > 0 and self._told <= number - self._lag

    def ask(self, given: Mapping[str, Any] | None) -> Proposal | None:
        """Proposes a trial, of `given` values if there are any."""
        with _naming("engine", "when it was asked for a trial"):
            return self.engine.ask(given, self._told if self._lag else None)

    def report(self, epoch: EpochResult) -> bool:
        """Takes an epoch; True to prune the trial."""
        value = epoch.metrics.get(self._objective.metric)
        with _naming("pruner", f"over trial {epoch.number} after epoch {epoch.epoch}"):
            return value is not None and self.engine.report(epoch.number, epoch.epoch, value)

    def ended(self, trial: EndedTrial) -> None:
        """Takes a trial that has ended, for the engine."""
        self._parked[trial.number] = trial

    def tell_next(self) -> EndedTrial | None:
        """Gives the engine the next trial's result; returns the trial, or None if there is none.

        The next is the trial that ended first; in a deterministic study the next by number.
        """
        number = self._told if self._lag else next(iter(self._parked), None)
        trial = None if number is None else self._parked.pop(number, None)
        if trial is None:
            return None
        self._told += 1
        with _naming("engine", f"over the result of trial {trial.number}"):
            self.engine.tell(trial.number, trial.result)
        return trial

    @staticmethod
    def _all_ended(trials: Sequence[TrialRecord], count: int) -> bool:
        return all(t.state in FINISHED_STATES for t in trials if t.number < count)


@contextlib.contextmanager
def _naming(part: str, when: str) -> Iterator[None]:
    """Raises one clear EngineError in place of what Optuna or Keras Tuner raises by itself."""
    try:
        with as_store_errors():
            yield
    except KerastudyError:
        raise
    except Exception as error:
        renamed = " under another name with --name" if part == "pruner" else ""
        raise EngineError(
            f"The {part} raised {describe(error)} {when}. The trials so far are recorded. Launch "
            f"again with another --{part}, or other settings of it{renamed}."
        ) from error


def spec_of(
    proposal: Proposal, description: StudyDescription, finished: Mapping[int, EndedTrial]
) -> TrialSpec:
    """Returns the spec of a trial's first attempt."""
    values, number = proposal.values, proposal.number
    # An objective function reads its hyperparameters itself, whatever they mean.
    read = {} if description.objective_function else values
    spec = TrialSpec(
        number=number,
        attempt=1,
        values=values,
        seed=trial_seed(description.seed, number),
        epochs=proposal.epochs or int(read.get("epochs", description.epochs)),
        batch_size=int(read.get("batch_size", description.batch_size)),
        threads=description.threads,
        data_digest=description.data.digest,
        objective=description.objective,
        class_weight=description.class_weight,
        hardware=description.hardware,
    )
    if proposal.goes_on_from is None:
        return spec
    parent = finished[proposal.goes_on_from]
    # The same model under the same seed, trained further.
    spec = replace(
        spec, seed=parent.spec.seed, goes_on_from=parent.number, begun_as=parent.spec.built_as
    )
    if description.trainings > 1 or not description.goes_on:
        # Trained, and recorded, from the first epoch.
        return spec
    return replace(spec, initial_epoch=parent.result.epochs)


def task_of(
    spec: TrialSpec,
    description: StudyDescription,
    files: StudyFiles,
    trainer: TrainerName | None = None,
    last_kept: Rank | None = None,
) -> TrialTask:
    """Returns an executor's task for a training.

    Each repeat of a trial writes its checkpoint: the trial's value is known after the last one.
    Folds write none.
    """
    origin = None
    if spec.goes_on_from is not None and spec.initial_epoch:
        origin = files.state(spec.goes_on_from)
    return TrialTask(
        spec,
        description.space,
        files.checkpoint(spec.number, spec.repeat),
        files.state(spec.number, spec.repeat),
        origin,
        trainer,
        last_kept if description.trainings == 1 else None,
        files.scores(spec.number, spec.repeat),
        # The best epoch that folds have in common is not known yet.
        "best" if spec.fold is None else "every",
    )
