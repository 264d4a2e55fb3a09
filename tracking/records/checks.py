"""The outcomes of checks: by plain `model.fit`, on the sealed test part, under new seeds.

A trial's `verified` has the outcome of training it once more, by plain `model.fit`:

| text | says |
|---|---|
| ``model.fit, identical`` | every metric of every epoch, and the weights, are the same |
| ``model.fit, identical in epochs 1 to 3 of 20`` | the rest was not compared |
| ``model.fit, trained by it`` | nothing to compare: `model.fit` trained the trial itself |
| ``a fit of its own, trained by it`` | nothing to compare: a HyperModel's own `fit` trained it |
| ``an objective function, trained by it`` | nothing to compare: an objective function ran it |
| ``model.fit, differs: …`` | plain Keras gets another result than the recorded one |
| ``model.fit, not comparable: …`` | the result differs, but so do code, data or versions |
| ``model.fit, not run: …`` | the trial could not be trained again |
| ``off`` | not compared |
| ``reproduced bit for bit by model.fit, all 6 epochs, on …`` | by `kerastudy reproduce` |
| ``not reproduced on …: …`` | `kerastudy reproduce` failed; the trainer may not be the cause |

A later outcome replaces an earlier one. A difference under other code, data or versions does not
replace a comparison under equal ones.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from tracking.records.studies import ConstantGuess, Direction

OFF = "off"
IDENTICAL = "model.fit, identical"
TRAINED_BY_FIT = "model.fit, trained by it"
TRAINED_BY_OWN_FIT = "a fit of its own, trained by it"
TRAINED_BY_OBJECTIVE = "an objective function, trained by it"
TRAINED_BY_ITSELF = (TRAINED_BY_FIT, TRAINED_BY_OWN_FIT, TRAINED_BY_OBJECTIVE)
"""The texts of trials that were trained by the code that would also train them again."""

DIFFERS = "model.fit, differs: "
REPRODUCED = "reproduced bit for bit"
_NOT_REPRODUCED = "not reproduced on "
_NOT_COMPARABLE = "model.fit, not comparable: "
_NOT_RUN = "model.fit, not run: "


def identical(compared: int, epochs: int) -> str:
    """Returns the text for a trial of which the first epochs, or all, are identical."""
    if compared >= epochs:
        return IDENTICAL
    named = "epoch 1" if compared == 1 else f"epochs 1 to {compared}"
    return f"{IDENTICAL} in {named} of {epochs}"


def differing(where: str) -> str:
    """Returns the text for a trial that `model.fit` contradicts."""
    return DIFFERS + where


def not_comparable(why: str) -> str:
    """Returns the text for a trial that differs, but whose code, data or versions differ too."""
    return _NOT_COMPARABLE + why


def not_run(why: str) -> str:
    """Returns the text for a trial that could not be trained again."""
    return _NOT_RUN + why


def reproduced(by: str, epochs: int, day: str) -> str:
    """Returns the text for a trial that was reproduced."""
    which = "its only epoch" if epochs == 1 else f"all {epochs} epochs"
    return f"{REPRODUCED} by {by}, {which}, on {day}"


def not_reproduced(why: str, day: str) -> str:
    """Returns the text for a trial that was not reproduced."""
    return f"{_NOT_REPRODUCED}{day}: {why}"


def is_reproduction(text: str) -> bool:
    """Returns whether a text is an outcome of `kerastudy reproduce`, good or bad."""
    return text.startswith((REPRODUCED, _NOT_REPRODUCED))


def differs(text: str) -> bool:
    """Returns whether `model.fit` contradicts a trial."""
    return text.startswith(DIFFERS)


def is_whole(text: str) -> bool:
    """Returns whether `model.fit` verified all of a trial."""
    return text in (IDENTICAL, *TRAINED_BY_ITSELF) or text.startswith(REPRODUCED)


def is_known(text: str) -> bool:
    """Returns whether at least a trial's first epochs were compared under equal conditions."""
    return is_whole(text) or is_partial(text) or differs(text)


def is_partial(text: str) -> bool:
    """Returns whether `model.fit` verified the first epochs of a trial."""
    return text.startswith(IDENTICAL) and not is_whole(text)


@dataclass(frozen=True)
class Measured:
    """A metric of a checkpoint on the test part."""

    value: float
    low: float | None = None  # Bounds of the 95 % interval; None without one.
    high: float | None = None
    validation: float | None = None  # The validation metric in training; None if not logged.


@dataclass(frozen=True, repr=False)
class Evaluation:
    """A reading of the sealed test part, by a checkpoint.

    The intervals of accuracies are exact. Others are bootstrap percentiles: test samples are drawn
    with replacement, as many as there are, and each metric is computed on them. This is repeated
    `resamples` times; the bounds are the 2.5 % and 97.5 % quantiles. They show the chance in the
    test samples alone, not the chance in the training. (Efron and Tibshirani, An Introduction to
    the Bootstrap, 1993, chapter 13.)
    """

    study: str
    engine: str
    trial: int
    epoch: int  # The trial's best epoch, whose weights were evaluated.
    samples: int
    digest: str  # SHA-256 of the test part.
    metrics: Mapping[str, Measured]  # Loss included, by the names that the model logs.
    resamples: int = 0  # Bootstrap samples, drawn with seed 0; 0 without intervals.
    note: str = ""  # Why metrics lack intervals, or empty.
    time: int = 0  # In milliseconds since the epoch (Unix time).
    # The uuid of the confirmation that read the test part, with new trainings of the trial and of
    # the space's defaults. Empty if the trial's checkpoint read it.
    confirmation: str = ""

    def __repr__(self) -> str:
        """Returns the evaluation in one line."""
        metrics = ", ".join(
            f"{name} {each.value:.4g}"
            + ("" if each.low is None else f" [{each.low:.4g}, {each.high:.4g}]")
            for name, each in self.metrics.items()
        )
        return f"<Evaluation of {self.study} trial {self.trial}, {self.samples} samples: {metrics}>"


@dataclass(frozen=True)
class Interval:
    """A value and its interval."""

    value: float
    low: float
    high: float
    level: float = 0.95  # The share of such intervals that hold the truth, 0 to 1.


@dataclass(frozen=True, repr=False)
class Corrected:
    """The best value of a study, corrected for being the best of many.

    The method is the bootstrap bias correction (BBC): Tsamardinos, Greasidou and Borboudakis,
    Bootstrapping the out-of-sample predictions for efficient and accurate cross-validation, Machine
    Learning 107, 2018.
    """

    reported: float  # The best value before the correction.
    estimate: Interval
    trials: int  # How many trials the best was chosen from.
    samples: int  # The size of the validation part.
    resamples: int
    note: str = ""  # What the correction leaves out, such as trials without scores; or empty.
    groups: int = 0  # Independent groups of samples; 0 if all samples are independent.

    def __repr__(self) -> str:
        """Returns one line: the value and its interval."""
        value, low, high = self.estimate.value, self.estimate.low, self.estimate.high
        return f"<corrected: {value:.4g} [{low:.4g}, {high:.4g}] of {self.reported:.4g} reported>"


@dataclass(frozen=True)
class Racer:
    """A trial in the race of a confirmation, which trains trials again under new seeds."""

    trial: int  # -1 for the space's defaults.
    # The validation objective under each seed so far, in the seeds' order; None if infeasible.
    values: tuple[float | None, ...]
    model_parameters: int = 0  # Scalar weights.
    epochs: int = 0


@dataclass(frozen=True)
class Confirmation:
    """The outcome of `kerastudy confirm`."""

    study: str
    engine: str
    uuid: str
    metric: str
    direction: Direction
    reported_trial: int  # The trial with the best value.
    reported: float
    corrected: Corrected | None
    # The seeds of the race. A trial that left it early was trained under the first ones only.
    seeds: tuple[int, ...]
    race: tuple[Racer, ...]  # Best first.
    # The space's defaults, trained under `test_seeds`; None if that was left out.
    default: Racer | None
    winner: int
    confirmed: Interval | None = None  # The winner on the sealed test part, if any.
    # By how much the winner is better than the defaults: above 0 for "max" and "min" alike. None if
    # the two were not compared.
    gain: Interval | None = None
    test_samples: int = 0
    test_digest: str = ""  # SHA-256, or empty.
    readings: int = 0  # How often this test part was read, this time included.
    notes: tuple[str, ...] = ()  # What else a reader must know, in sentences.
    time: int = 0  # When it ended, in milliseconds since the epoch (Unix time).
    # Further seeds, on which no choice is based, for the trainings that read the test part; empty
    # if it was not read.
    test_seeds: tuple[int, ...] = ()
    # The winner's objective on the test part under each of `test_seeds`.
    winner_on_test: tuple[float, ...] = ()
    default_on_test: tuple[float, ...] = ()
    # The most frequent class of the test part; None if it was not read, or has no classes.
    guess: ConstantGuess | None = None

    def racer(self, trial: int) -> Racer:
        """Returns a trial of the race."""
        return next(each for each in self.race if each.trial == trial)


PredictionKind = Literal["classes", "binary", "regression"]

MOST_SAMPLES: Final = 24
"""At most so many samples are kept, those with the lowest probability of their true class."""
MOST_POINTS: Final = 2_000
"""At most so many pairs of truth and prediction are kept."""
MOST_CLASSES: Final = 100
"""A confusion matrix has at most so many classes."""


def predictions_beside(folder: Path) -> Path:
    """Returns the file with a saved model's predictions, next to the model's folder."""
    return folder.with_name(f"{folder.name}-validation.json")


@dataclass(frozen=True)
class ClassCounts:
    """How many samples a class has, and for how many samples it was predicted."""

    name: str
    samples: int
    predicted: int  # The samples predicted as this class, rightly or not.
    correct: int  # The samples of this class that are predicted as this class.


@dataclass(frozen=True)
class WorstSample:
    """A sample whose true class gets a low probability."""

    index: int  # Its place in the validation data, from 0.
    true: int
    predicted: int  # The class of the highest probability; it may be the true one.
    probability: float  # The true class's probability, 0 to 1.
    confidence: float  # The predicted class's probability.
    png: bytes = b""  # Empty if the sample is no image.
    # The sample's values by column, as they were before preprocessing; texts are shortened. Empty
    # if the sample is an image, or too large.
    row: Mapping[str, float | str] = field(default_factory=dict)


@dataclass(frozen=True)
class ValidationPredictions:
    """What the champion predicts for the validation data.

    All samples are counted, each once, whatever its weight; only some are kept.
    """

    uuid: str  # The trial's uuid.
    trial: int
    epoch: int  # The trial's best epoch, whose weights predict.
    kind: PredictionKind  # ``"binary"``: the output is one probability.
    samples: int
    class_names: tuple[str, ...] = ()  # The names of classes 0, 1, 2, …; a regression has none.
    classes: tuple[ClassCounts, ...] = ()  # In the order of `class_names`.
    # Samples by true class (rows) and predicted class (columns). Empty for a regression, or more
    # than `MOST_CLASSES` classes.
    confusion: tuple[tuple[int, ...], ...] = ()
    # The samples whose true class got the lowest probability, the lowest first; at most
    # `MOST_SAMPLES`.
    worst: tuple[WorstSample, ...] = ()
    # The targets of a regression, for at most `MOST_POINTS` samples at even distances.
    truth: tuple[float, ...] = ()
    predicted: tuple[float, ...] = ()  # The predictions for the same samples.
    # The inputs of the same samples, before preprocessing, if each is a single number.
    feature: tuple[float, ...] = ()
    feature_name: str = "x"
    rule: tuple[float, ...] = ()  # Targets without noise, if made data follows a known rule.
    output: str = ""  # The output's name; empty if the model has just one.
    others: tuple[ValidationPredictions, ...] = ()  # The predictions of other outputs.

    def of(self, uuid: str, epoch: int) -> ValidationPredictions:
        """Returns a copy with the uuid and the epoch of the trial."""
        others = tuple(each.of(uuid, epoch) for each in self.others)
        return dataclasses.replace(self, uuid=uuid, epoch=epoch, others=others)

    @property
    def correct(self) -> int:
        """How many samples' true class is predicted; 0 for a regression."""
        return sum(each.correct for each in self.classes)
