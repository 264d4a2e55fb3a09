"""The proposals of a study's engine, until the budget is spent.

Usually the engine gets a result as soon as the trial ends. With several workers, timing decides
which trial ends first, so the proposals depend on timing. A deterministic study avoids this: it
proposes and prunes trial k only by the results of trials 0 to k - lag. The lag is the number of
workers. A result that comes too early waits (docs/decisions/0013).
"""

from __future__ import annotations

import bisect
import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from search_spaces import SearchSpace
from search_spaces.errors import EngineError, KerastudyError
from studies.engines import Curve, Engine
from studies.error_texts import describe
from studies.running.budget import Clock, Ending, reached
from studies.running.definitions import most_epochs
from studies.running.trials import Running, StudyTrials
from tracking.history.trials import best_trial, joined
from tracking.journal import Journal
from tracking.records import (
    FINISHED_STATES,
    EndedTrial,
    EpochResult,
    Proposal,
)
from tracking.store.files import as_store_errors

EngineOf = Callable[[SearchSpace], Engine]


class Proposals:
    """Asks the engine for trials, gives it results, and notices when the budget is spent.

    Attributes:
        engine: The present engine, which is replaced when a hyperparameter joins the space.
        description: The study, with its present space.
        exhausted: Whether the space has no further trial.
        ending: Why the study ends early, or None.
    """

    engine: Engine

    def __init__(
        self,
        engine_of: EngineOf,
        curve: Curve,
        journal: Journal,
        trials: StudyTrials,
        clock: Clock,
        say: Callable[[str], None],
    ) -> None:
        self._engine_of, self._curve = engine_of, curve
        self._journal, self._trials, self._clock, self._say = journal, trials, clock, say
        self.description = journal.description
        self.exhausted = False
        self.ending: Ending | None = None
        self._lag, self._objective = self.description.lag, self.description.objective
        finished = trials.finished
        # The engine of a deterministic study gets this trial's result next.
        self._next = self._first_untold() if self._lag else 0
        # These trials have ended, but the engine does not have their results yet.
        self._untold = {n: t for n, t in finished.items() if self._lag and n >= self._next}
        # These trials declared hyperparameters that have not joined the space yet.
        self._showed: list[EndedTrial] = []
        self._told = sorted(finished.keys() - self._untold.keys())
        self._best = best_trial([finished[number] for number in self._told], self._objective)
        self._restore(())

    def report(self, epoch: EpochResult) -> bool:
        """Reports an epoch to the engine; returns whether the pruner ends the trial."""
        value = epoch.metrics.get(self._objective.metric)
        with _naming("pruner", f"over trial {epoch.number} after epoch {epoch.epoch}"):
            return value is not None and self.engine.report(epoch.number, epoch.epoch, value)

    def prunes(self, running: Running, epoch: EpochResult) -> bool:
        """Reports an epoch if pruners see it; returns whether the pruner ends the trial."""
        folds = self.description.folds
        seen = running.for_pruner(epoch, folds, most_epochs(self.description) if folds else 0)
        return seen is not None and self.report(seen)

    def take(self, trial: EndedTrial) -> None:
        """Keeps a finished trial until the engine gets its result."""
        self._untold[trial.number] = trial

    def step(self) -> None:
        """Gives the engine new results. In a deterministic study, `ask` does this instead."""
        if not self._lag:
            self.tell_all()

    def tell_all(self) -> None:
        """Gives the engine the results of all trials that have ended."""
        while self._tell_next():
            pass
        self._join()

    def ask(self) -> Proposal | None:
        """Returns the next proposal; None if there is none, or none yet."""
        number = len(self._trials.all)
        while self._lacks(number) and self._tell_next():
            pass
        self._join()
        if self._lacks(number) or self.spent():
            return None
        proposal = self._ask(number)
        # One more result may allow a proposal, as when Hyperband promotes a trial.
        while proposal is None and self._tell_next():
            self._join()
            if not self.spent():
                proposal = self._ask(number)
        self.exhausted = proposal is None and not self._trials.running and not self.spent()
        return proposal

    def spent(self) -> bool:
        """Returns whether the study must end, even if it does not have all its trials."""
        if self.ending is None:
            best = -1 if self._best is None else self._best.number
            since_best = len(self._told) - bisect.bisect(self._told, best)
            seconds = self._clock.seconds
            self.ending = reached(self.description, seconds, since_best, self._best)
        return self.ending is not None

    def _ask(self, number: int) -> Proposal | None:
        with _naming("engine", "when it was asked for a trial"):
            choice = self.description.first_values(number)
            return self.engine.ask(choice, self._next if self._lag else None)

    def _lacks(self, number: int) -> bool:
        """Returns whether the engine needs more results before it proposes this trial."""
        return self._lag > 0 and self._next <= number - self._lag

    def _tell_next(self) -> bool:
        """Gives the engine one result; returns False if none is left.

        Results go in the order in which trials end. In a deterministic study, they go in the order
        of the trials' numbers.
        """
        number = self._next if self._lag else next(iter(self._untold), None)
        trial = None if number is None else self._untold.pop(number, None)
        if trial is None:
            return False
        self._next += 1
        with _naming("engine", f"over the result of trial {trial.number}"):
            self.engine.tell(trial.number, trial.result)
        if trial.result.joined:
            self._showed.append(trial)
        bisect.insort(self._told, trial.number)
        self._best = best_trial([self._best, trial], self._objective)
        self.spent()
        return True

    def _join(self) -> None:
        """Adds hyperparameters that builders declared in trials to the space.

        Then replaces the engine, as an engine has one space. The new engine equals the one that the
        next launch would restore from the record.
        """
        showed, self._showed = self._showed, []
        if not self.description.discovered or not showed:
            return
        space = self.description.space
        for trial in showed:
            parameters = trial.result.joined
            space = joined(space, parameters)
            names = ", ".join(str(parameter["name"]) for parameter in parameters)
            how = "tuned from now on"
            if all(parameter["kind"] == "fixed" for parameter in parameters):
                how = "left at its default, as the engine can't tune it"
            self._say(f"trial {trial.number} declared {names}: {how}")
        self.description = replace(self.description, space=space)
        self._journal.grow(self.description)
        self._trials.complete(space)
        running = self._trials.running.values()
        folds, longest = self.description.folds, most_epochs(self.description)
        self._restore(epoch for trial in running for epoch in trial.for_pruners(folds, longest))

    def _restore(self, running: Iterable[EpochResult]) -> None:
        """Makes the engine from the record, and gives it the epochs of running trials."""
        trials = [self._trials.all[number] for number in sorted(self._trials.all)]
        with _naming("engine", "when it was made from the record"):
            self.engine = self._engine_of(self.description.space)
            self.engine.restore(trials, self._curve, self._next if self._lag else None)
            for trial in trials:
                if trial.number in self._untold:
                    for epoch, value in self._curve(trial).items():
                        self.engine.report(trial.number, epoch, value)
        for epoch_result in running:
            self.report(epoch_result)

    def _first_untold(self) -> int:
        """Returns the first trial whose result the engine did not have in earlier launches."""
        recorded, finished = self._trials.all.values(), self._trials.finished.values()
        begun = [trial.number for trial in recorded if trial.state not in FINISHED_STATES]
        first_begun = min(begun, default=len(recorded))
        known = [trial.known for trial in recorded if trial.known is not None]
        # If hyperparameters that a trial declared are in the space, the engine had its result.
        showed = [trial.number + 1 for trial in finished if trial.result.joined]
        untold = max([0, *known, *(number for number in showed if number <= first_begun)])
        # The engine gets results in order, so it has none after a trial that is trained again.
        return min(untold, first_begun)


@contextlib.contextmanager
def _naming(part: str, when: str) -> Iterator[None]:
    """Replaces exceptions of Optuna and Keras Tuner by an EngineError that says what to do."""
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
