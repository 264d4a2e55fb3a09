"""What the checks read of a study's record."""

from __future__ import annotations

import contextlib
import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from search_spaces.parameters.kinds import Float, Int, Parameter
from tracking.diagnosis.numbers import Array
from tracking.history.confirmations import read_confirmations
from tracking.history.curves import RecordedCurves
from tracking.history.scores_by_trial import best_scores, scores_of
from tracking.history.selection import holding
from tracking.history.study_history import StudyHistory
from tracking.history.trial_reading import metric_by_step
from tracking.records import EndedTrial, Objective
from tracking.runs.mlflow_names import to_mlflow
from tracking.scores.files import ScoresError

_FEWEST_TOP, _MOST_TOP = 3, 10
_LEAST_EPOCHS = 4
_RESAMPLES = 200
_MOST_DRAWS = 4_000_000


@dataclass(frozen=True)
class Noise:
    """How far a trial's value varies for other reasons than its hyperparameters.

    Attributes:
        value: A standard deviation.
        source: What it is, with its article.
    """

    value: float
    source: str


@dataclass(frozen=True)
class Curve:
    """A trial by epoch. All losses are lower the better.

    Attributes:
        trial: The trial.
        epochs: The epochs, ascending.
        losses: The objective, negated if it is maximized.
        training: Its counterpart on training data, likewise; None if not recorded.
    """

    trial: EndedTrial
    epochs: Array
    losses: Array
    training: Array | None

    @property
    def best(self) -> int:
        """The place of the best epoch; the first one of several."""
        return int(np.argmin(self.losses))

    @property
    def gained(self) -> float:
        """How far the objective got better, from the first epoch to the best."""
        return float(self.losses[0] - self.losses[self.best])

    @property
    def ended_itself(self) -> bool:
        """Whether its own callbacks, such as `EarlyStopping`, ended it before its last epoch."""
        return self.trial.result.epochs < self.trial.spec.epochs


@dataclass(frozen=True)
class DiagnosedStudy:
    """A study's record, in the form that checks read."""

    history: StudyHistory

    @property
    def objective(self) -> Objective:
        """The study's objective."""
        return self.history.description.objective

    @cached_property
    def ranked(self) -> list[EndedTrial]:
        """The trials with a value that `model.fit` does not contradict, best first."""
        found = holding(self.history.trials, self.objective)
        return [trial for trial in found if math.isfinite(self.loss(trial))]

    @cached_property
    def by_number(self) -> Mapping[int, EndedTrial]:
        """Those trials by number."""
        return {trial.number: trial for trial in self.ranked}

    @cached_property
    def losses(self) -> Array:
        """Their values, negated if the objective is maximized: ascending."""
        return np.array([self.loss(trial) for trial in self.ranked], dtype=np.float64)

    def loss(self, trial: EndedTrial) -> float:
        """Returns a trial's value, negated if the objective is maximized."""
        return math.inf if trial.value is None else self.objective.sort_key(trial.value)

    def value(self, loss: float) -> float:
        """Returns the objective of a loss."""
        # Twice negated it is the value again.
        return self.objective.sort_key(loss)

    @cached_property
    def infeasible(self) -> list[EndedTrial]:
        """The trials without a usable value."""
        return [trial for trial in self.history.ended if trial.state == "infeasible"]

    @cached_property
    def varying(self) -> list[Parameter]:
        """The hyperparameters that vary."""
        return [each for each in self.history.description.space if each.count != 1]

    @property
    def scientific(self) -> list[Parameter]:
        """Those of them that the study asks about."""
        return [each for each in self.varying if each.role == "scientific"]

    @cached_property
    def ranges(self) -> list[Float | Int]:
        """Those of them that are numbers from a range."""
        return [each for each in self.varying if isinstance(each, Float | Int)]

    def top(self, trials: list[EndedTrial]) -> list[EndedTrial]:
        """Returns the best tenth of trials, which are sorted: 3 to 10 of them."""
        return trials[: min(max(round(len(trials) / 10), _FEWEST_TOP), _MOST_TOP)]

    @cached_property
    def training_metric(self) -> str:
        """The objective's counterpart on training data, or empty if none was recorded."""
        metric = self.objective.metric
        name = metric.removeprefix("val_")
        recorded = any(trial.best and name in trial.best.metrics for trial in self.ranked)
        return name if name != metric and recorded else ""

    @cached_property
    def curves(self) -> Mapping[int, Curve]:
        """The trials with a value by epoch; those with less than four finite epochs are left out.

        A trial that continues another one has the epochs of that one, too.
        """
        read = RecordedCurves(self.history.store, self.history.trials)
        objective = {trial.number: read(trial) for trial in self.ranked}
        runs = {_run_of(trial): trial.number for trial in self.ranked}
        name = to_mlflow(self.training_metric)
        read_fit = metric_by_step(self.history.store, list(runs), name) if name else {}
        training = {runs[run_id]: epochs for run_id, epochs in (read_fit or {}).items()}
        found = {}
        for trial in self.ranked:
            values = {e: v for e, v in _whole(trial, objective, self).items() if math.isfinite(v)}
            # Values by fold, or of a function's own steps, are no curve of a training.
            if len(values) < _LEAST_EPOCHS or trial.result.of_no_epoch:
                continue
            epochs = sorted(values)
            fit = _whole(trial, training, self)
            sign = -1.0 if self.objective.direction == "max" else 1.0
            # A damaged epoch leaves a gap, which no check may read.
            whole = bool(fit) and all(math.isfinite(fit.get(e, math.nan)) for e in epochs)
            found[trial.number] = Curve(
                trial,
                np.array(epochs, dtype=np.float64),
                sign * np.array([values[e] for e in epochs]),
                sign * np.array([fit[e] for e in epochs]) if whole else None,
            )
        return found

    @cached_property
    def top_curves(self) -> list[Curve]:
        """The curves of the best trials that were not stopped on their way."""
        whole = [trial for trial in self.ranked if not trial.cut_short]
        longest = max((trial.spec.epochs for trial in whole), default=0)
        if "epochs" not in self.history.description.space:
            # Rungs of Hyperband train a part of them.
            whole = [trial for trial in whole if trial.spec.epochs == longest]
        return [self.curves[t.number] for t in self.top(whole) if t.number in self.curves]

    @cached_property
    def noise(self) -> Noise | None:
        """How far values vary by seed if that is recorded, else by validation sample.

        By seed: the pooled standard deviation of repeats, or folds, by the square root of their
        number, as a value is their mean; or that of the trainings of a confirmation. By sample: see
        `standard_error`.
        """
        spreads = [t.result.spread for t in self.ranked if t.result.spread is not None]
        repeats = max(self.history.description.trainings, 1)
        if not spreads:
            race = [racer for found in read_confirmations(self.history) for racer in found.race]
            trainings = [[v for v in racer.values if v is not None] for racer in race]
            spreads = [statistics.stdev(values) for values in trainings if len(values) > 1]
        if spreads:
            pooled = math.sqrt(statistics.fmean(spread**2 for spread in spreads))
            folds = self.history.description.folds
            source = "the noise of seeds and folds" if folds else "the noise of a seed"
            return Noise(pooled / math.sqrt(repeats), source)
        error = self.standard_error
        return None if error is None else Noise(error, "the standard error of one value")

    @cached_property
    def standard_error(self) -> float | None:
        """The standard error of the best value by validation sample; None if it is not known.

        By bootstrap of its scores of samples, where they are recorded (Efron and Tibshirani 1993,
        An Introduction to the Bootstrap, 6). Else, for an accuracy, that of a share of n
        independent samples, sqrt(p (1 - p) / n) (Wasserman, All of Statistics, 6.3).
        """
        if not self.ranked:
            return None
        best = self.ranked[0]
        with contextlib.suppress(ScoresError):
            scores = best_scores(scores_of(self.history, best), best.epoch or 1)
            samples = len(scores)
            random = np.random.default_rng(0)
            # Fewer for many samples, of which each weighs less.
            amount = min(_RESAMPLES, max(20, _MOST_DRAWS // samples))
            counts = random.multinomial(samples, np.full(samples, 1 / samples), amount)
            return float(scores.of_resamples(counts.astype(np.float32)).std(ddof=1))
        samples = self.history.description.data.sizes.get("validation", 0)
        value, names = best.value, self.objective.metric.split("_")
        if value is None or "accuracy" not in names or not samples or not 0 <= value <= 1:
            return None
        return math.sqrt(value * (1 - value) / samples)

    @cached_property
    def worth(self) -> tuple[float, str]:
        """The smallest gain worth having, and what it is.

        The noise of a value; without one, a twentieth of the way from the median to the best value:
        a rule of thumb.
        """
        if self.noise is not None and self.noise.value > 0:
            return self.noise.value, self.noise.source
        way = float(np.median(self.losses) - self.losses[0]) if len(self.losses) else 0.0
        return way / 20, "a twentieth of the way from the median to the best"


def _run_of(trial: EndedTrial) -> str:
    """Returns the run whose curves count; of a repeated trial, that of its first repeat."""
    return trial.result.repeats[0].run_id if trial.result.repeats else trial.run_id


def _whole(
    trial: EndedTrial, found: Mapping[int, Mapping[int, float]], study: DiagnosedStudy
) -> dict[int, float]:
    """Returns a trial by epoch, with the epochs of the trials that it continues."""
    epochs = dict(found.get(trial.number, {}))
    before, seen = trial.spec.goes_on_from, {trial.number}
    while before is not None and before not in seen:
        seen.add(before)
        epochs = {**found.get(before, {}), **epochs}
        earlier = study.by_number.get(before)
        before = None if earlier is None else earlier.spec.goes_on_from
    return epochs
