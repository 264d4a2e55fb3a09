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
from tracking.journal import Journal
from tracking.records import EndedTrial, EpochResult, Proposal, TrialRecord


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
