"""`Finding`, the result of a check, and `DiagnosedStudy`, the data that the checks read."""

from __future__ import annotations

import contextlib
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from search_spaces import Float, Int, Parameter
from search_spaces.errors import InternalError
from search_spaces.texts import counted
from tracking.history import StudyHistory, StudyVerdict, metric_by_epoch, study_verdict
from tracking.records import EndedTrial, Objective, Severity
from tracking.statistics import ScoresError, best_scores, scores_of

Array = NDArray[np.float64]

_FEWEST_TOP, _MOST_TOP = 3, 10
_LEAST_EPOCHS = 4
_RESAMPLES = 200
_MOST_DRAWS = 4_000_000


@dataclass(frozen=True)
class Changes:
    """The changes that a finding suggests for the next launch.

    Attributes:
        ranges: New domains by hyperparameter, in the form of ``--set``, e.g. ``"1e-4..1e-1:log"``.
        settings: Settings by name, e.g. ``epochs``.
        resumes: Whether the launch resumes the same study instead of beginning a new one.
    """

    ranges: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    resumes: bool = False


@dataclass(frozen=True)
class Finding:
    """The result of a check of a study's record.

    Attributes:
        check: The check's name, e.g. ``"boundary"``.
        severity: ``"problem"`` if the study does not answer its question, ``"hint"`` if the next
            study can be better, ``"ok"`` if all is well.
        title: The finding in a few words.
        verdict: The finding in a sentence, with figures.
        advice: A sentence on what to do; may be empty.
        command: A command that follows the advice; empty if the user must edit the study's code. A
            check sets only the verb, e.g. ``confirm``, or nothing. `diagnose` writes the command.
        evidence: The figures, by name.
        parameter: The hyperparameter of the finding, or empty.
        changes: The changes that the finding suggests for the next launch.
    """

    check: str
    severity: Severity
    title: str
    verdict: str
    advice: str = ""
    command: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    parameter: str = ""
    changes: Changes = Changes()


class TooThinError(InternalError):
    """A check needs more trials. The message says how many."""


class Noise(NamedTuple):
    """The size of random differences between trials' values, and a text that names their source."""

    value: float
    source: str


@dataclass(frozen=True)
class Curve:
    """A trial's objective by epoch: `losses` on validation data, `training` on training data.

    `training` is None if it was not recorded. Values of a maximized objective are negated, so lower
    values are always better.
    """

    trial: EndedTrial
    epochs: Array
    losses: Array
    training: Array | None

    @property
    def best(self) -> int:
        """The index of the first epoch with the best value."""
        return int(np.argmin(self.losses))

    @property
    def gained(self) -> float:
        """The improvement of the objective from the first epoch to the best epoch."""
        return float(self.losses[0] - self.losses[self.best])

    @property
    def ended_itself(self) -> bool:
        """Whether a callback such as `EarlyStopping` ended the training before its last epoch."""
        return self.trial.result.epochs < self.trial.spec.epochs

    @property
    def noise(self) -> float:
        """The standard deviation of the noise in the later half of the curve.

        The estimate is 1.4826 times the median absolute deviation of the differences between
        neighbouring epochs, divided by the square root of 2, as a difference has the noise of two
        epochs.
        """
        late = np.diff(self.losses[-max(4, len(self.losses) // 2) :])
        deviation = float(np.median(np.abs(late - np.median(late))))
        return 1.4826 * deviation / math.sqrt(2)


@dataclass(frozen=True)
class DiagnosedStudy:
    """A study as the checks see it: its verdict, trials, curves and noise."""

    history: StudyHistory

    @cached_property
    def verdict(self) -> StudyVerdict:
        """The verdict on the study's best value."""
        return study_verdict(self.history)

    @property
    def objective(self) -> Objective:
        """The study's objective."""
        return self.history.description.objective

    @cached_property
    def ranked(self) -> list[EndedTrial]:
        """The trials of `StudyHistory.holding` with a finite value, the best first."""
        return [trial for trial in self.history.holding if math.isfinite(self.loss(trial))]

    @cached_property
    def losses(self) -> Array:
        """The result of `loss` for each trial of `ranked`, in ascending order."""
        return np.array([self.loss(trial) for trial in self.ranked], dtype=np.float64)

    def loss(self, trial: EndedTrial) -> float:
        """Returns a trial's value, negated if the objective is maximized."""
        return math.inf if trial.value is None else self.objective.sort_key(trial.value)

    def value(self, loss: float) -> float:
        """Converts a result of `loss` back into a value of the objective."""
        # `sort_key` negates a maximized value, so a second call returns the original value.
        return self.objective.sort_key(loss)

    @cached_property
    def infeasible(self) -> list[EndedTrial]:
        """The infeasible trials."""
        return [trial for trial in self.history.ended if trial.state == "infeasible"]

    @cached_property
    def varying(self) -> list[Parameter]:
        """The hyperparameters that vary."""
        return [parameter for parameter in self.history.description.space if parameter.count != 1]

    @property
    def scientific(self) -> list[Parameter]:
        """The varying hyperparameters with the role "scientific"."""
        return [parameter for parameter in self.varying if parameter.role == "scientific"]

    @cached_property
    def ranges(self) -> list[Float | Int]:
        """The varying hyperparameters that are numbers from a range."""
        return [parameter for parameter in self.varying if isinstance(parameter, Float | Int)]

    def top(self, trials: list[EndedTrial]) -> list[EndedTrial]:
        """Returns the best tenth of sorted trials, at least 3 and at most 10."""
        return trials[: min(max(round(len(trials) / 10), _FEWEST_TOP), _MOST_TOP)]

    def check_trials(self, least: int, trials: Sequence[EndedTrial] | None = None) -> None:
        """Raises TooThinError if there are fewer than `least` trials.

        By default, the trials of `ranked` are counted.
        """
        count = len(self.ranked if trials is None else trials)
        if count < least:
            raise TooThinError(
                f"{counted(least, 'trial')} with a value are needed; the study has {count}."
            )

    @cached_property
    def training_metric(self) -> str:
        """The objective's metric on training data, e.g. ``accuracy``; empty if not recorded."""
        return training_metric(self.objective, self.ranked)

    def curves(self, trials: Sequence[EndedTrial]) -> list[Curve]:
        """Returns the curves of the trials that have at least four epochs with a finite value."""
        objective, training = (
            metric_by_epoch(self.history.folder, trials, metric) if metric else {}
            for metric in (self.objective.metric, self.training_metric)
        )
        sign = -1.0 if self.objective.direction == "max" else 1.0
        curves = []
        for trial in trials:
            values, fit = objective.get(trial.number, {}), training.get(trial.number, {})
            epochs = sorted(values)
            # If an objective function trained several models, the trial's value does not belong to
            # one epoch, so the trial has no curve to check.
            if len(epochs) < _LEAST_EPOCHS or trial.result.of_no_epoch:
                continue
            # The checks compare both curves epoch by epoch, so the curve on training data must have
            # a value at each epoch.
            is_complete = values.keys() <= fit.keys()
            curves.append(
                Curve(
                    trial,
                    np.array(epochs, dtype=np.float64),
                    sign * np.array([values[epoch] for epoch in epochs]),
                    sign * np.array([fit[epoch] for epoch in epochs]) if is_complete else None,
                )
            )
        return curves

    @cached_property
    def top_curves(self) -> list[Curve]:
        """The curves of the best trials that were not cut short."""
        whole = [trial for trial in self.ranked if not trial.cut_short]
        longest = max((trial.spec.epochs for trial in whole), default=0)
        if "epochs" not in self.history.description.space:
            # Hyperband trains many trials for fewer epochs. These trials are left out, since the
            # checks would say that they end too early.
            whole = [trial for trial in whole if trial.spec.epochs == longest]
        return self.curves(self.top(whole))

    @cached_property
    def noise(self) -> Noise | None:
        """The noise in the value of a trial; None if the noise is unknown.

        - If trials have repeats or folds, the value of a trial is the mean over these trainings.
          The noise is the pooled standard deviation of repeats or folds, divided by the square root
          of their number.
        - If there are only confirmations, the noise is the pooled standard deviation of their
          trainings under new seeds.
        - If there are neither, the noise is `standard_error`.
        """
        spreads = [t.result.spread for t in self.ranked if t.result.spread is not None]
        repeats = max(self.history.description.trainings, 1)
        if not spreads:
            race = [racer for one in self.verdict.confirmations for racer in one.race]
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
        """The standard error of the best value, due to the choice of validation samples.

        If the scores of samples are recorded, the standard error comes from a bootstrap (Efron and
        Tibshirani 1993, An Introduction to the Bootstrap, 6). Otherwise an accuracy p on n samples
        has the standard error sqrt(p (1 - p) / n) (Wasserman, All of Statistics, 6.3). For other
        metrics, the standard error is unknown, and the result is None.
        """
        if not self.ranked:
            return None
        best = self.ranked[0]
        with contextlib.suppress(ScoresError):
            scores = best_scores(scores_of(self.history.files, best), best.epoch or 1)
            samples = len(scores)
            random = np.random.default_rng(0)
            # With many samples, fewer resamples are enough.
            amount = min(_RESAMPLES, max(20, _MOST_DRAWS // samples))
            counts = random.multinomial(samples, np.full(samples, 1 / samples), amount)
            return float(scores.of_resamples(counts.astype(np.float32)).std(ddof=1))
        samples = self.history.description.data.sizes.get("validation", 0)
        value, names = best.value, self.objective.metric.split("_")
        if value is None or "accuracy" not in names or not samples or not 0 <= value <= 1:
            return None
        return math.sqrt(value * (1 - value) / samples)

    @cached_property
    def worth(self) -> Noise:
        """The smallest gain that is worth having: a gain as large as the noise.

        If the noise is unknown, the smallest gain is a twentieth of the difference between the
        median and the best value (a rule of thumb).
        """
        if self.noise is not None and self.noise.value > 0:
            return self.noise
        way = float(np.median(self.losses) - self.losses[0]) if len(self.losses) else 0.0
        return Noise(way / 20, "a twentieth of the way from the median to the best")


def training_metric(objective: Objective, trials: Sequence[EndedTrial]) -> str:
    """Returns an objective's metric on training data, e.g. ``accuracy``; empty if not recorded."""
    name = objective.metric.removeprefix("val_")
    recorded = any(trial.best and name in trial.best.metrics for trial in trials)
    return name if name != objective.metric and recorded else ""


def weights_of_best(total: int, draws: int) -> Array:
    """Returns, for each of `total` sorted values, the probability that it is the best value drawn.

    `draws` values are drawn at random, without replacement. The sum of all values, weighted by
    these probabilities, is the mean of the best of `draws` values. This is an unbiased estimate of
    the best value that a search of `draws` trials finds (Dodge et al. 2019, "Show Your Work",
    arXiv:1909.03004; without replacement: Tang et al. 2020, arXiv:2004.13705).
    """
    weights = np.zeros(total)
    weight = draws / total
    for place in range(total - draws + 1):
        weights[place] = weight
        rest = total - place - 1
        weight *= (rest - draws + 1) / rest if rest else 0.0
    return weights


def expected_best(losses: Array, draws: int) -> float:
    """Returns the mean of the lowest of `draws` losses that are drawn without replacement."""
    return float(np.sort(losses) @ weights_of_best(len(losses), draws))


def of_best(amount: int, best: int) -> str:
    """Returns a text such as ``4 of the best 5`` or ``all of the best 5``."""
    return f"{'all' if amount == best else amount} of the best {best}"
