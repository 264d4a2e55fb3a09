"""A study's search: the next trial by the engine, and whether the budget is spent.

The engine gets results as trials end, or in the order of their numbers. With several workers,
timing decides which trial ends first, and proposals depend on the results so far. A deterministic
study therefore proposes and prunes trial k only by the results of trials up to k - lag: results
that come before their turn are parked (docs/decisions/0013).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from search_spaces import SearchSpace
from search_spaces.errors import EngineError, KerastudyError
from studies.engines.engine import Curve, Engine
from studies.error_texts import describe
from studies.running.budget import AwakeClock, Ending, reached
from studies.running.definitions import most_epochs
from studies.running.trials import Running, StudyTrials
from tracking.history.trials import best_trial, joined
from tracking.journal import Journal
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


class Search:
    """Proposes a study's trials, learns their results, and ends when the budget is spent."""

    def __init__(
        self,
        engine_of: EngineOf,
        curve: Curve,
        journal: Journal,
        trials: StudyTrials,
        clock: AwakeClock,
        say: Callable[[str], None],
    ) -> None:
        self._journal, self._trials, self._clock, self._say = journal, trials, clock, say
        self.description = description = journal.description
        self.exhausted = False
        self.ending: Ending | None = None
        # Trials that the engine knows, with hyperparameters that the space lacks.
        self._showed: list[EndedTrial] = []
        self._proposals = Proposals(engine_of, curve, description.lag, description.objective)
        self._proposals.begin(description.space, [*trials.all.values()])
        told = self._proposals.told_of(trials.finished)
        self._counted = Counted(told)
        self._best = best_trial([trials.finished[n] for n in told], description.objective)

    @property
    def engine(self) -> Engine:
        """The engine, until a hyperparameter joins the space."""
        return self._proposals.engine

    def report(self, epoch: EpochResult) -> bool:
        """Takes an epoch; True to prune the trial."""
        return self._proposals.report(epoch)

    def prunes(self, running: Running, epoch: EpochResult) -> bool:
        """Takes an epoch of a running trial, as pruners see it; True to prune the trial."""
        folds = self.description.folds
        seen = running.for_pruner(epoch, folds, most_epochs(self.description) if folds else 0)
        return seen is not None and self.report(seen)

    def take(self, trial: EndedTrial) -> None:
        """Takes a finished trial, for the next step."""
        self._proposals.ended(trial)

    def step(self) -> None:
        """Gives the engine its results; then the hyperparameters of these trials join the space.

        In a deterministic study the engine gets results by number, when `ask` needs them.
        """
        if not self.description.lag:
            self.tell_all()

    def tell_all(self) -> None:
        """Gives the engine all trials that have ended."""
        while self._tell_next():
            pass
        self._join()

    def ask(self) -> Proposal | None:
        """Returns the next proposal; None if there is none, or none yet."""
        number = len(self._trials.all)
        while self._proposals.lacks(number) and self._tell_next():
            pass
        self._join()
        if self._proposals.lacks(number) or self.spent():
            return None
        asked = self._proposals.ask(self.description.given(number))
        # A result may allow a proposal: Hyperband promotes trials.
        while asked is None and self._tell_next():
            self._join()
            if not self.spent():
                asked = self._proposals.ask(self.description.given(number))
        self.exhausted = asked is None and not self._trials.running and not self.spent()
        return asked

    def spent(self) -> bool:
        """Returns whether the study's budget is spent, apart from its number of trials."""
        if self.ending is None:
            since = self._counted.above(self._best)
            self.ending = reached(self.description, self._clock.seconds, since, self._best)
        return self.ending is not None

    def _tell_next(self) -> bool:
        """Gives the engine the next trial; False if none has ended."""
        trial = self._proposals.tell_next()
        if trial is None:
            return False
        if trial.result.joined:
            self._showed.append(trial)
        self._counted.add(trial.number)
        self._best = best_trial([self._best, trial], self.description.objective)
        self.spent()
        return True

    def _join(self) -> None:
        """Adds the hyperparameters that builders have only now declared to the space.

        Then a new engine replaces the present one: the engine that a launch from the record would
        make.
        """
        showed, self._showed = self._showed, []
        if not self.description.discovered or not showed:
            return
        space = self.description.space
        for trial in showed:
            shown = trial.result.joined
            space = joined(space, shown)
            names = ", ".join(str(parameter["name"]) for parameter in shown)
            how = "tuned from now on"
            if all(parameter["kind"] == "fixed" for parameter in shown):
                how = "left at its default, as the engine can't tune it"
            self._say(f"trial {trial.number} declared {names}: {how}")
        self.description = replace(self.description, space=space)
        self._journal.grow(self.description)
        self._trials.complete(space)
        trials = [self._trials.all[number] for number in sorted(self._trials.all)]
        running = self._trials.running.values()
        folds, longest = self.description.folds, most_epochs(self.description)
        epochs = [epoch for each in running for epoch in each.for_pruners(folds, longest)]
        self._proposals.restore(space, trials, epochs)


class Counted:
    """The numbers of the trials that count for the study's patience."""

    def __init__(self, numbers: Iterable[int]) -> None:
        self._numbers = set(numbers)
        # How many are above which number.
        self._above, self._last = len(self._numbers), -1

    def add(self, number: int) -> None:
        """Adds a trial."""
        if number not in self._numbers:
            self._numbers.add(number)
            self._above += number > self._last

    def above(self, trial: TrialRecord | None) -> int:
        """Returns how many trials have a higher number than this one; all, if there is none."""
        last = -1 if trial is None else trial.number
        if last != self._last:
            # Seldom: when there is a new best trial.
            self._above, self._last = sum(number > last for number in self._numbers), last
        return self._above


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
