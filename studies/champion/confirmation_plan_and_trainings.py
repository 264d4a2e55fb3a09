"""The race and trainings of `kerastudy confirm`: `make_plan` plans them, `Trainings` runs them."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

from search_spaces import argument_checks as checks
from search_spaces.errors import StudyError, WorkerError
from search_spaces.texts import counted
from studies.champion.runnable_recorded_study import AnyExecutor
from studies.definition import confirmation_seed, fold_seed, race_seed, spec_of
from studies.executors import Job, Jobs, run_jobs
from studies.progress import Progress
from tracking.history import StudyHistory, common_best, fit_metrics, read_trainings
from tracking.journal import Journal
from tracking.records import (
    ALL_FOLDS,
    Decision,
    Direction,
    EndedTrial,
    EpochResult,
    Proposal,
    TrialResult,
    TrialSpec,
    TrialTask,
    differs,
    to_json,
)
from tracking.store import checkpoint_fault

DEFAULTS = -1
"""The number that stands for the search space's default values, where a trial's number is used."""
# With fewer seeds, it is not known whether the intervals on the test part keep their confidence
# level.
_FEWEST_SEEDS = 5
# The version of the plan. A confirmation that began with a plan of another version is not resumed.
_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class ConfirmOptions:
    """The options of `kerastudy confirm`.

    Attributes:
        top: How many of the best trials race.
        seeds: Under how many new seeds the models for the test part are trained. In the race, too,
            a trial is trained under at most this many new seeds.
        budget: The number of trainings in the race. The trainings of all folds under one seed
            count as one.
        test: Whether the winner and the default values are scored on the test part.
    """

    top: int = 8
    seeds: int = 5
    budget: int = 16
    test: bool = True

    def __post_init__(self) -> None:
        """Checks the options."""
        checks.whole_number("budget", self.budget, StudyError)
        checks.whole_number("top", self.top, StudyError, least=2)
        checks.whole_number("seeds", self.seeds, StudyError, least=_FEWEST_SEEDS)
        checks.truth("test", self.test, StudyError)

    def rounds(self, trials: int) -> tuple[Round, ...]:
        """Returns the rounds of the race; `trials` is how many trials can race."""
        top = min(self.top, trials)
        plan = rounds(top, self.seeds, self.budget)
        if plan[0].racers < top:
            needed = next(
                n for n in itertools.count(1) if rounds(top, self.seeds, n)[0].racers == top
            )
            raise StudyError(
                f"A budget of {self.budget} trainings is too small for a race of {top} trials",
                hint=f"Give --budget {needed}, or race fewer trials: --top.",
            )
        return plan


@dataclass(frozen=True)
class Round:
    """A round of a race. `racers` trials take part, and each trains under `seeds` further seeds."""

    racers: int
    seeds: int

    @property
    def trainings(self) -> int:
        """The number of trainings in the round."""
        return self.racers * self.seeds


def rounds(top: int, seeds: int, budget: int) -> tuple[Round, ...]:
    """Plans a race: each round halves the trials. The last two trials get the rest of the budget.

    For example, with 8 trials and a budget of 16 trainings, 8 trials train under one new seed, the
    best 4 under another, and the best 2 under two more. This is successive halving over seeds: K.
    Jamieson and A. Talwalkar, Non-stochastic best arm identification and hyperparameter
    optimization, AISTATS 2016. All racers train under the same seeds, which differ from the seeds
    of the study's trials: X. Bouthillier et al., MLSys 2021.

    If `budget` is too small for `top` trials, fewer trials start. No trial is trained under more
    than `seeds` new seeds.
    """
    while top > 1 and sum(r.trainings for r in _halving(top, seeds)) > budget:
        top -= 1
    plan = _halving(top, seeds)
    finalists, last = plan[-1].racers, plan[-1].seeds
    spent = sum(r.trainings for r in plan)
    more = min((budget - spent) // finalists, seeds - sum(r.seeds for r in plan))
    return (*plan[:-1], Round(finalists, last + more))


def survivors(
    values: Mapping[int, Sequence[float | None]], keep: int, direction: Direction
) -> tuple[int, ...]:
    """Returns the trials that stay in a race, best first.

    The mean over new seeds decides. A trial's value in the study does not count, because the trial
    was chosen for this value. Of trials that tie, the one with the lower number is better. Trials
    with infeasible trainings come last.

    `values` has, by trial number, the objective under each new seed so far, or None for an
    infeasible training.
    """
    sign = -1 if direction == "max" else 1

    def key(trial: int) -> tuple[int, float, int]:
        numbers = [x for x in values[trial] if x is not None and math.isfinite(x)]
        failures = len(values[trial]) - len(numbers)
        mean = sum(numbers) / len(numbers) if numbers else math.inf
        return failures, sign * mean, trial

    return tuple(sorted(values, key=key)[:keep])


def _halving(top: int, seeds: int) -> list[Round]:
    """Returns rounds of one seed each, until two racers are left or all seeds are used."""
    plan = [Round(top, 1)]
    while plan[-1].racers > 2 and len(plan) < seeds:
        plan.append(Round((plan[-1].racers + 1) // 2, 1))
    return plan


@dataclass(frozen=True)
class Training:
    """A training of a confirmation.

    Attributes:
        trial: The number of the trial whose configuration is trained, or `DEFAULTS`.
        place: The number of the training's seed, from 1. The seeds of the race are counted first,
            then those for the test part.
        spec: The training's spec. Its number is 0. When the training begins, `Trainings` makes a
            copy with another number.
        identity: A digest of the spec, the code and the time limit. The training is recorded under
            this digest, so that a resumed confirmation finds it.
    """

    trial: int
    place: int
    spec: TrialSpec
    identity: str

    @property
    def name(self) -> str:
        """The training's name for users, such as ``#3 · seed 2 · fold 1``."""
        who = "defaults" if self.trial == DEFAULTS else f"#{self.trial}"
        fold = self.spec.fold
        part = "all folds" if fold == ALL_FOLDS else "" if fold is None else f"fold {fold + 1}"
        return " · ".join(filter(None, (who, f"seed {self.place}", part)))


@dataclass(frozen=True)
class Plan:
    """A confirmation's plan, made by `make_plan`.

    Attributes:
        options: The options of `confirm`.
        history: The study's record.
        racers: The trials that race, best first.
        rounds: The rounds of the race.
        tests: Whether the winner and the default values are scored on the test part.
        notes: Sentences that the outcome shows to the user. For example, one says that trials with
            other code did not race.
    """

    options: ConfirmOptions
    history: StudyHistory
    racers: tuple[EndedTrial, ...]
    rounds: tuple[Round, ...]
    tests: bool
    notes: tuple[str, ...]

    @property
    def reported(self) -> EndedTrial:
        """The study's best trial, whose value the study reports."""
        return self.racers[0]

    @cached_property
    def seeds(self) -> tuple[int, ...]:
        """The new seeds of the race."""
        return self._new_seeds(race_seed, sum(round_.seeds for round_ in self.rounds))

    @cached_property
    def test_seeds(self) -> tuple[int, ...]:
        """The new seeds of the trainings for the test part; empty if it stays sealed."""
        return self._new_seeds(confirmation_seed, self.options.seeds if self.tests else 0)

    @cached_property
    def default(self) -> TrialSpec:
        """The spec of a training with the space's default values."""
        description = self.history.description
        values = description.space.defaults()
        spec = spec_of(Proposal(0, values), description)
        # The builder may read the trial's number. If a recorded trial has the default values, the
        # builder gets the number of that trial.
        numbers = (t.number for t in self.history.trials if t.spec.values == values)
        threads = self.reported.spec.threads
        return replace(spec, threads=threads, confirms=next(numbers, None))

    @property
    def folds(self) -> int:
        """The number of folds; 0 if the study is not cross-validated."""
        return self.history.description.folds

    @cached_property
    def default_trial(self) -> EndedTrial | None:
        """The best trial with the default values, or None.

        Trials with other code than the study's best trial are left out.
        """
        code = self.reported.code_digest
        trials = (trial for trial in self.history.holding if trial.code_digest == code)
        return next((t for t in trials if t.spec.values == self.default.values), None)

    def racer(self, number: int) -> EndedTrial:
        """Returns the racer with this number."""
        return next(racer for racer in self.racers if racer.number == number)

    def has_defaults(self, number: int) -> bool:
        """Returns whether the racer with this number has the space's default values."""
        return self.racer(number).spec.values == self.default.values

    def trainings_at(self, trial: int, place: int) -> list[Training]:
        """Returns a racer's trainings under one seed: one training, or one for each fold.

        `place` is the seed's index in `seeds`.
        """
        spec, seed = self.racer(trial).spec, self.seeds[place]
        specs = [replace(spec, seed=fold_seed(seed, fold), fold=fold) for fold in range(self.folds)]
        specs = specs or [replace(spec, seed=seed)]
        return [self._training(trial, place + 1, spec) for spec in specs]

    def test_trainings(self, trial: int) -> list[Training]:
        """Returns the trainings of a trial, or of the defaults, that are scored on the test part.

        In a cross-validated study, they train on all folds together, up to the best epoch of the
        recorded trial. If no recorded trial has the default values, their best epoch is unknown,
        so the defaults have no trainings.
        """
        if self.folds:
            recorded = self.default_trial if trial == DEFAULTS else self.racer(trial)
            if recorded is None:
                return []
            spec = recorded.whole_spec
        else:
            spec = self.default if trial == DEFAULTS else self.racer(trial).spec
        begin = len(self.seeds) + 1
        return [
            self._training(trial, begin + i, replace(spec, seed=seed))
            for i, seed in enumerate(self.test_seeds)
        ]

    @property
    def trainings(self) -> int:
        """The number of all trainings of the plan."""
        return self.race_size + self.test_size

    @property
    def race_size(self) -> int:
        """The number of trainings in the race. Each fold counts as one training."""
        return sum(round_.trainings for round_ in self.rounds) * max(self.folds, 1)

    @property
    def test_size(self) -> int:
        """The largest number of trainings for the test part.

        If the trial with the default values wins, the defaults need no models of their own, so
        there are fewer trainings.
        """
        return len(self.test_seeds) + len(self.test_trainings(DEFAULTS))

    def to_json(self) -> str:
        """Returns the plan as JSON. A confirmation that recorded the same JSON is resumed."""
        fields = {
            "version": _VERSION,
            "options": dataclasses.asdict(self.options),
            "trials": [racer.number for racer in self.racers],
            "seeds": self.seeds,
            "test_seeds": self.test_seeds,
            "default": dict(self.default.values),
            "data": self.reported.spec.data_digest,
            "code": self.reported.code_digest,
            "folds": self.folds,
        }
        return json.dumps(fields, ensure_ascii=False)

    def _training(self, trial: int, place: int, spec: TrialSpec) -> Training:
        spec = replace(spec, number=0, attempt=1, repeat=0, confirms=spec.built_as)
        limit = self.history.description.trial_timeout
        facts = [to_json(spec), self.reported.code_digest, repr(limit)]
        identity = hashlib.sha256("\n".join(facts).encode()).hexdigest()
        return Training(trial, place, spec, identity)

    def _new_seeds(self, seed_at: Callable[[int, int], int], count: int) -> tuple[int, ...]:
        """Returns seeds under which no trial of the study was trained."""
        used = {trial.spec.seed for trial in self.history.trials}
        used |= {fit.seed for trial in self.history.ended for fit in trial.result.repeats}
        study_seed = self.history.description.seed
        seeds = (seed_at(study_seed, place) for place in itertools.count())
        return tuple(itertools.islice((seed for seed in seeds if seed not in used), count))


def make_plan(history: StudyHistory, options: ConfirmOptions) -> Plan:
    """Plans the confirmation of a study; raises StudyError if too few trials have a value."""
    description = history.description
    trials, notes = history.holding, list[str]()
    same = [trial for trial in trials if trial.code_digest == trials[0].code_digest]
    if len(same) < 2:
        raise StudyError(
            f"There is no choice to confirm in the study {description.name!r}: at least 2 trials "
            "with the code of the best trial must have a value",
            received=len(same),
            hint="Launch it with more trials.",
        )
    if len(same) < len(trials):
        notes.append(
            f"{counted(len(trials) - len(same), 'trial')} of other code than the best did not "
            "race: the study's code was changed between its launches."
        )
    racers = tuple(same[: options.top])
    if len(racers) < options.top:
        notes.append(f"Only {len(racers)} trials had a value to race.")
    return Plan(
        options,
        history,
        racers,
        options.rounds(len(racers)),
        options.test and "test" in description.data.digests,
        tuple(notes),
    )


class Trainings(Jobs):
    """Runs and records the trainings of a plan. Each training is a job with one `fit`."""

    def __init__(
        self, plan: Plan, executor: AnyExecutor, journal: Journal, progress: Progress
    ) -> None:
        super().__init__()
        self.plan, self.journal, self.progress = plan, journal, progress
        # The confirmation's uuid. It is set before any training runs.
        self.uuid = ""
        self.executor, self._description = executor, plan.history.description
        # The checkpoints stay here until their models have been scored on the test part.
        self.folder = plan.history.files.folder / "confirming"
        self._recorded = read_trainings(plan.history)
        # If `model.fit` has contradicted a recorded trial, the study's trainer may be wrong, so
        # `model.fit` runs all trainings.
        self._by_fit = any(differs(trial.verified) for trial in plan.history.trials)
        # The running trainings and the uuids of their fits, by the numbers of their jobs.
        self._running: dict[int, tuple[Training, str]] = {}
        self._planned = 0

    @property
    def count(self) -> int:
        """The number of the plan's trainings that are recorded."""
        plan = self.plan
        racers, places = [racer.number for racer in plan.racers], range(len(plan.seeds))
        raced = [t for n in racers for place in places for t in plan.trainings_at(n, place)]
        tested = [t for n in (DEFAULTS, *racers) for t in plan.test_trainings(n)]
        ended = {t.identity for t in raced if self.knows(t)}
        ended |= {t.identity for t in tested if self._has_weights(t)}
        return min(len(ended), plan.trainings)

    def knows(self, training: Training) -> bool:
        """Returns whether a training is recorded."""
        return training.identity in self._recorded

    def result(self, training: Training) -> TrialResult:
        """Returns the result of a recorded training."""
        return self._recorded[training.identity][0]

    def value(self, training: Training) -> float | None:
        """Returns the best value of a recorded training; None if the training is infeasible."""
        best = self.result(training).best
        return None if best is None else best.value

    def value_at(self, trial: int, place: int) -> float | None:
        """Returns a racer's value under one seed of the race; None if a training is infeasible.

        In a cross-validated study, this is the objective's mean over the folds, at the epoch where
        that mean is best.
        """
        trainings = self.plan.trainings_at(trial, place)
        if not self.plan.folds:
            return self.value(trainings[0])
        if any(self.value(training) is None for training in trainings):
            return None
        epochs = [self._complete_epochs(training) for training in trainings]
        best = common_best(epochs, self._description.objective)
        return None if best is None else best.value

    def _complete_epochs(self, training: Training) -> Mapping[int, Mapping[str, float]]:
        """Returns the metrics of those epochs in which all metrics are finite."""
        _, fit = self._recorded[training.identity]
        epochs = fit_metrics(self.plan.history.folder, fit)
        # `fit_metrics` leaves out values that are not finite. So an epoch with such a value has
        # fewer names than other epochs.
        names = set().union(*epochs.values())
        return {epoch: metrics for epoch, metrics in epochs.items() if set(metrics) == names}

    def run(self, racing: Sequence[Training], testing: Sequence[Training]) -> None:
        """Runs those trainings that are not recorded yet.

        Trainings of `testing` run again if their weights are lost, as models with these weights
        are scored on the test part.
        """
        trainings = [t for t in racing if not self.knows(t)]
        trainings += [t for t in testing if not self._has_weights(t)]
        for number, training in enumerate(trainings, self._planned):
            self.queue.append(Job(number, partial(self._begin, number, training), training.name))
        self._planned += len(trainings)
        run_jobs(self.executor, self, self.progress)

    def checkpoint(self, training: Training) -> Path:
        """Returns the path for a training's best weights."""
        return self.folder / f"{training.identity[:24]}.weights.h5"

    def _has_weights(self, training: Training) -> bool:
        """Returns whether a training need not run: it is infeasible, or its weights are intact."""
        if not self.knows(training) or self.value(training) is None:
            return self.knows(training)
        digest = self.result(training).checkpoint_sha256
        return not checkpoint_fault(self.checkpoint(training), digest)

    def taking(self) -> AbstractContextManager[object]:
        """Returns a context. When it ends, the epochs logged in it go to the journal."""
        return self.journal.flushing()

    def on_epoch(self, epoch: EpochResult) -> Decision:
        """Records an epoch. Ends the training if its time limit has passed."""
        training, uuid = self._running[epoch.number]
        self.journal.log_epoch(uuid, epoch)
        limit = self._description.trial_timeout
        over = limit is not None and epoch.seconds >= limit
        # The decision "prune" keeps the weights of the best epoch. "stop" would not keep them.
        return "prune" if over and epoch.epoch < training.spec.epochs else "continue"

    def on_result(self, result: TrialResult) -> None:
        """Records a result."""
        training, uuid = self._running.pop(result.number)
        self.journal.end_fit(uuid, result)
        self._recorded[training.identity] = result, uuid
        # A training on all folds together has no validation data, so it has no value to show.
        valued = training.spec.fold != ALL_FOLDS
        self.progress.trial_ended(result if valued else replace(result, best=None), None)

    def on_lost(self, spec: TrialSpec, error: WorkerError, why: str) -> None:
        """Records that an attempt's process died, if the training begins again.

        Otherwise, `on_result` records the last attempt.
        """
        if not why:
            self.journal.end_fit(self._running[spec.number][1], None)

    def _begin(self, number: int, training: Training) -> list[TrialTask]:
        spec = replace(training.spec, number=number)
        uuid = self.journal.begin_training(self.uuid, spec, training.identity)
        self._running[number] = training, uuid
        self.folder.mkdir(parents=True, exist_ok=True)
        checkpoint, space = self.checkpoint(training), self._description.space
        return [TrialTask(spec, space, checkpoint, by_fit=self._by_fit)]
