"""Asks a study's engine for trials until the budget is spent, and gives it their results.

A study ends when it has all its trials, or earlier because of `timeout`, `stop_at` or `patience`.

The engine gets a result as soon as the trial ends. With several workers, timing decides which trial
ends first, so the proposals depend on timing.
"""

from __future__ import annotations

import bisect
import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Literal, NamedTuple

from search_spaces import SearchSpace
from search_spaces.errors import EngineError, KerastudyError
from search_spaces.texts import duration
from studies.engines import Curve, Engine
from studies.error_texts import describe
from studies.launching.running_trials import Running, StudyTrials
from tracking.history.trial_ranks import best_trial, joined
from tracking.journal import Journal
from tracking.records import EndedTrial, EpochResult, Proposal
from tracking.store.store_folder import as_store_errors

EndedBy = Literal["trials", "space", "timeout", "stop_at", "patience", "interrupt", "error"]


class Ending(NamedTuple):
    """The reason why a launch ended."""

    by: EndedBy
    text: str


INTERRUPTED = Ending("interrupt", "interrupted; launch again to resume")

EngineOf = Callable[[SearchSpace], Engine]


class Proposals:
    """The engine of a running study, and the decision when the study ends.

    Attributes:
        engine: The present engine, which is replaced when a hyperparameter joins the space.
        description: The study, with its present space.
        exhausted: Whether the engine has proposed all that it can in this space.
        ending: Why the study ends early, or None.
    """

    engine: Engine

    def __init__(
        self,
        engine_of: EngineOf,
        curve: Curve,
        journal: Journal,
        trials: StudyTrials,
        say: Callable[[str], None],
    ) -> None:
        self._engine_of, self._curve = engine_of, curve
        self._journal, self._trials, self._say = journal, trials, say
        self.description = journal.description
        self.exhausted = False
        self.ending: Ending | None = None
        self._objective = self.description.objective
        # Finished trials whose results the engine does not have yet.
        self._new: list[EndedTrial] = []
        # Trials whose builders declared hyperparameters that have not joined the space yet.
        self._declaring: list[EndedTrial] = []
        # The numbers of the trials whose results the engine has.
        self._known = sorted(trials.finished)
        self._best = best_trial(trials.finished.values(), self._objective)
        self._restore(())
        # The time counts only from here, so the time limit does not include the import of the
        # engine's library.
        self._began = time.monotonic()

    def report(self, epoch: EpochResult) -> bool:
        """Reports an epoch to the engine; returns whether the pruner ends the trial."""
        value = epoch.metrics.get(self._objective.metric)
        with _naming("pruner", f"over trial {epoch.number} after epoch {epoch.epoch}"):
            return value is not None and self.engine.report(epoch.number, epoch.epoch, value)

    def prunes(self, running: Running, epoch: EpochResult) -> bool:
        """Reports an epoch if pruners see it; returns whether the pruner ends the trial."""
        seen = running.for_pruner(epoch, self.description)
        return seen is not None and self.report(seen)

    def take(self, trial: EndedTrial) -> None:
        """Adds a finished trial. The next `tell_all` gives its result to the engine."""
        self._new.append(trial)

    def tell_all(self) -> None:
        """Gives the engine the results of the trials that `take` has added since the last call."""
        trials, self._new = self._new, []
        for trial in trials:
            with _naming("engine", f"over the result of trial {trial.number}"):
                self.engine.tell(trial.number, trial.result)
            if trial.result.joined and self.description.discovered:
                self._declaring.append(trial)
            bisect.insort(self._known, trial.number)
            self._best = best_trial([self._best, trial], self._objective)
            self.spent()
        self._join()

    def ask(self) -> Proposal | None:
        """Returns the next proposal, or None.

        None means that no further trial begins, or that the engine must first know the results of
        running trials.
        """
        if self.spent():
            return None
        with _naming("engine", "when it was asked for a trial"):
            choice = self.description.first_values(len(self._trials.all))
            proposal = self.engine.ask(choice)
        self.exhausted = proposal is None and not self._trials.running
        return proposal

    def spent(self) -> bool:
        """Returns whether the study must end, even if it does not have all its trials."""
        self.ending = self.ending or self._early_ending()
        return self.ending is not None

    def _early_ending(self) -> Ending | None:
        """Returns the reason to end the study before it has all its trials, or None to go on."""
        description, best = self.description, self._best
        target, patience, timeout = description.stop_at, description.patience, description.timeout
        if target is not None and best is not None and best.value is not None:
            value, metric = best.value, self._objective.metric
            if value == target or self._objective.is_better(value, target):
                text = f"{metric} reached {target:.6g}: {value:.6g} in trial {best.number}"
                return Ending("stop_at", text)
        since_best = len(self._known) - bisect.bisect(self._known, best.number if best else -1)
        if patience is not None and since_best >= patience:
            than = f"nothing better than trial {best.number}" if best else "no value"
            return Ending("patience", f"{since_best} trials in a row found {than}")
        if timeout is not None and time.monotonic() - self._began >= timeout:
            return Ending(
                "timeout", f"the time of {duration(timeout)} is up; launch again to resume"
            )
        return None

    def _join(self) -> None:
        """Adds hyperparameters that builders declared in trials to the space.

        An engine can't change its space, so a new engine is made from the record, as the next
        launch would make it.
        """
        trials, self._declaring = self._declaring, []
        if not trials:
            return
        space = self.description.space
        for trial in trials:
            parameters = trial.result.joined
            space = joined(space, parameters)
            names = ", ".join(str(parameter["name"]) for parameter in parameters)
            how = "tuned from now on"
            if all(parameter["kind"] == "fixed" for parameter in parameters):
                how = "left at its default, as the engine can't tune it"
            self._say(f"trial {trial.number} declared {names}: {how}")
        self.description = replace(self.description, space=space)
        self._journal.write_definition(self.description)
        self._trials.complete(space)
        running = self._trials.running.values()
        self._restore(epoch for trial in running for epoch in trial.for_pruners(self.description))

    def _restore(self, running: Iterable[EpochResult]) -> None:
        """Makes the engine from the recorded trials and the epochs of running trials."""
        trials = [self._trials.all[number] for number in sorted(self._trials.all)]
        with _naming("engine", "when it was made from the record"):
            self.engine = self._engine_of(self.description.space)
            self.engine.restore(trials, self._curve)
        for epoch_result in running:
            self.report(epoch_result)


@contextlib.contextmanager
def _naming(part: str, when: str) -> Iterator[None]:
    """Turns exceptions of Optuna and Keras Tuner into an EngineError that says what to do."""
    try:
        with as_store_errors():
            yield
    except KerastudyError:
        raise
    except Exception as error:
        raise EngineError(
            f"The {part} raised {describe(error)} {when}. The trials so far are recorded. Launch "
            f"under another name (--name) with another --{part}, or other settings of it."
        ) from error
