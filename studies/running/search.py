"""A study's search: the next trial, the space, the best so far, and whether the budget is spent."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from studies.engines.engine import Curve, Engine
from studies.running.budget import AwakeClock, Ending, reached
from studies.running.definitions import most_epochs
from studies.running.proposals import EngineOf, Proposals
from studies.running.running_trial import Running
from studies.running.study_trials import StudyTrials
from tracking.history.trials import best_trial, joined
from tracking.records import EndedTrial, EpochResult, Proposal, TrialRecord
from tracking.runs.study_runs import StudyRuns


class Search:
    """Proposes a study's trials, learns their results, and ends when the budget is spent."""

    def __init__(
        self,
        engine_of: EngineOf,
        curve: Curve,
        runs: StudyRuns,
        trials: StudyTrials,
        clock: AwakeClock,
        say: Callable[[str], None],
    ) -> None:
        self._runs, self._trials, self._clock, self._say = runs, trials, clock, say
        self.description = description = runs.description
        self.exhausted = False
        self.ending: Ending | None = None
        # Trials that the engine knows, with hyperparameters that the space lacks.
        self._showed: list[EndedTrial] = []
        self._proposals = Proposals(engine_of, curve, description.lag, description.objective)
        self._proposals.begin(description.space, [*trials.all.values()])
        told = self._proposals.told_of(trials.finished)
        self._counted = Counted(told)
        self._best = BestSoFar(runs, [trials.finished[number] for number in told])

    @property
    def engine(self) -> Engine:
        """The engine, until a hyperparameter joins the space."""
        return self._proposals.engine

    def begin(self) -> None:
        """Records what a killed launch did not."""
        self._best.complete()

    def report(self, epoch: EpochResult) -> bool:
        """Takes an epoch; True to prune the trial."""
        return self._proposals.report(epoch)

    def prunes(self, running: Running, epoch: EpochResult) -> bool:
        """Takes an epoch of a running trial, as pruners see it; True to prune the trial."""
        folds = self.description.folds
        seen = running.for_pruner(epoch, folds, most_epochs(self.description) if folds else 0)
        return seen is not None and self.report(seen)

    def record(self, trial: EndedTrial) -> None:
        """Records that a finished trial is the best so far, if it is."""
        if not self.description.lag:
            # Together with its result, or it might be lost: the engine does not get it again.
            self._best.take(trial, told_before=False)

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
            best = self._best.trial
            self.ending = reached(
                self.description, self._clock.seconds, self._counted.above(best), best
            )
        return self.ending is not None

    def _tell_next(self) -> bool:
        """Gives the engine the next trial; False if none has ended."""
        trial = self._proposals.tell_next()
        if trial is None:
            return False
        if trial.result.joined:
            self._showed.append(trial)
        self._counted.add(trial.number)
        if self.description.lag:
            # An engine that gets results by number gets the last trials again in each launch.
            told_before = trial.number in self._trials.finished_before
            self._best.take(trial, told_before=told_before)
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
        self._runs.grow(self.description)
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


class BestSoFar:
    """Follows the best trial, and adds a point to its curve for each better one.

    A point's step is the number of trials that had finished by then, over all launches. (Trials
    end in another order than that of their numbers.)
    """

    def __init__(self, runs: StudyRuns, counted: Iterable[TrialRecord]) -> None:
        counted = list(counted)
        self._runs, self._objective = runs, runs.description.objective
        self._count = len(counted)
        self._last = runs.last_best_so_far()
        self.trial = best_trial(counted, self._objective)

    def complete(self) -> None:
        """Adds the point of the best trial if the curve does not end with it.

        A kill may have come between a trial's result and its point.
        """
        if self.trial is None or self.trial.best is None:
            return
        value = self.trial.best.value
        if self._last is None or self._objective.is_better(value, self._last[1]):
            self._log(value)

    def take(self, trial: TrialRecord, *, told_before: bool) -> None:
        """Takes a finished trial; ``told_before`` if an earlier launch may have taken it too."""
        self._count += 1
        before, self.trial = self.trial, best_trial([self.trial, trial], self._objective)
        if self.trial is before:
            return
        if told_before:
            self.complete()
        elif trial.best is not None:
            self._log(trial.best.value)

    def _log(self, value: float) -> None:
        self._runs.log_best_so_far(self._count, value)
        self._last = self._count, value
