"""The outcomes of checks: by plain `model.fit`, on the sealed test part, under new seeds.

A trial's `verified` has the outcome of training it once more, by plain `model.fit`:

| text | says |
|---|---|
| ``model.fit, identical`` | every metric of every epoch, and the weights, are the same |
| ``model.fit, identical in epochs 1 to 3 of 20`` | the rest was not compared |
| ``model.fit, trained by it`` | nothing to compare: `model.fit` trained the trial itself |
| ``a fit of its own, trained by it`` | likewise: a HyperModel's own `fit` did |
| ``an objective function, trained by it`` | likewise: an objective function did |
| ``model.fit, differs: …`` | plain Keras gets another result than the recorded one |
| ``model.fit, not comparable: …`` | it differs, but so do code or versions |
| ``model.fit, not run: …`` | it could not be trained again, for another reason |
| ``off`` | not compared |
| ``reproduced bit for bit by model.fit, all 6 epochs, on …`` | by `kerastudy reproduce` |
| ``not reproduced on …: …`` | likewise; it is not the compiled trainer's fault, or need not be |

A later outcome replaces an earlier one; a difference under other code, data or versions does so
only if no comparison is known.
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
"""Texts of trials that the code itself trained that would train them again."""

DIFFERS = "model.fit, differs: "
REPRODUCED = "reproduced bit for bit"
_NOT_REPRODUCED = "not reproduced on "
_NOT_COMPARABLE = "model.fit, not comparable: "
_NOT_RUN = "model.fit, not run: "


def identical(compared: int, epochs: int) -> str:
    """Returns the text for a trial that is identical in its first epochs, or in all."""
    if compared >= epochs:
        return IDENTICAL
    named = "epoch 1" if compared == 1 else f"epochs 1 to {compared}"
    return f"{IDENTICAL} in {named} of {epochs}"


def differing(where: str) -> str:
    """Returns the text for a trial that `model.fit` contradicts."""
    return DIFFERS + where


def not_comparable(why: str) -> str:
    """Returns the text for a trial that differs, but so does what it depends on."""
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
    """Returns whether a text is the outcome of `kerastudy reproduce`, whatever that is."""
    return text.startswith((REPRODUCED, _NOT_REPRODUCED))


def differs(text: str) -> bool:
    """Returns whether `model.fit` contradicts a trial."""
    return text.startswith(DIFFERS)


def is_whole(text: str) -> bool:
    """Returns whether `model.fit` verified all of a trial."""
    return text in (IDENTICAL, *TRAINED_BY_ITSELF) or text.startswith(REPRODUCED)


def is_known(text: str) -> bool:
    """Returns whether a trial was compared under equal conditions, at least its first epochs."""
    return is_whole(text) or is_partial(text) or differs(text)


def is_partial(text: str) -> bool:
    """Returns whether `model.fit` verified the first epochs of a trial."""
    return text.startswith(IDENTICAL) and not is_whole(text)


@dataclass(frozen=True)
class Measured:
    """A metric of a checkpoint on the test part."""

    value: float
    low: float | None = None  # Bounds of its 95 % interval; None if it has none.
    high: float | None = None
    validation: float | None = None  # As recorded in training; None if it was not logged.


@dataclass(frozen=True, repr=False)
class Evaluation:
    """A reading of the sealed test part, by a checkpoint.

    The intervals of accuracies are exact. Others are bootstrap percentiles: test samples are drawn
    with replacement, as many as there are, and each metric is computed on them. This is repeated
    `resamples` times; the bounds are the 2.5 % and 97.5 % quantiles. They show the chance in the
    test samples alone, not that in the training. (Efron and Tibshirani, An Introduction to the
    Bootstrap, 1993, chapter 13.)
    """

    study: str
    engine: str
    trial: int
    epoch: int  # Its best epoch, whose weights were evaluated.
    samples: int
    digest: str  # SHA-256 of the test part.
    metrics: Mapping[str, Measured]  # By the names that the model logs, the loss too.
    resamples: int = 0  # Drawn with seed 0; 0 if there are no intervals.
    note: str = ""  # Why metrics lack intervals, or empty.
    time: int = 0  # In milliseconds since the epoch (Unix time).
    # The uuid of the confirmation that read it: trainings of the trial under new seeds, and
    # of the space's defaults, together. Empty for a trial's checkpoint.
    confirmation: str = ""

    def __repr__(self) -> str:
        """Returns it in one line."""
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

    By the bootstrap bias correction (BBC): Tsamardinos, Greasidou and Borboudakis, Bootstrapping
    the out-of-sample predictions for efficient and accurate cross-validation, Machine Learning 107,
    2018.
    """

    reported: float  # The best value as it stands.
    estimate: Interval
    trials: int  # The number that the choice was among.
    samples: int  # Of the validation part.
    resamples: int
    note: str = ""  # What the correction leaves out, such as trials without scores; or empty.
    groups: int = 0  # Of samples that are independent of each other; 0: all samples are.

    def __repr__(self) -> str:
        """Returns one line: the value and its interval."""
        value, low, high = self.estimate.value, self.estimate.low, self.estimate.high
        return f"<corrected: {value:.4g} [{low:.4g}, {high:.4g}] of {self.reported:.4g} reported>"


@dataclass(frozen=True)
class Racer:
    """A trial in the race: trained again under new seeds."""

    trial: int  # -1 for the space's defaults.
    # The validation objective under the first of the seeds, in order; None if infeasible.
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
    # Shared by all trials of the race; one that left it early was trained under the first.
    seeds: tuple[int, ...]
    race: tuple[Racer, ...]  # Best first.
    # The space's defaults, trained under `test_seeds`; None if that was left out.
    default: Racer | None
    winner: int
    confirmed: Interval | None = None  # The winner on the sealed test part; None if there is none.
    # How much better than the defaults the winner is: above 0 is better, whatever the direction.
    # None if there is nothing to compare on.
    gain: Interval | None = None
    test_samples: int = 0
    test_digest: str = ""  # SHA-256, or empty.
    readings: int = 0  # How often this test part was read, this time included.
    notes: tuple[str, ...] = ()  # What else a reader must know, in sentences.
    time: int = 0  # When it ended, in milliseconds since the epoch (Unix time).
    # Further seeds, which no choice has seen, to read the test part; empty if it was not read.
    test_seeds: tuple[int, ...] = ()
    # The winner's objective on the test part under each of them.
    winner_on_test: tuple[float, ...] = ()
    default_on_test: tuple[float, ...] = ()
    # The most frequent class of the test part; None if it was not read, or has no classes.
    guess: ConstantGuess | None = None

    def racer(self, trial: int) -> Racer:
        """Returns a trial of the race."""
        return next(each for each in self.race if each.trial == trial)


PredictionKind = Literal["classes", "binary", "regression"]

MOST_SAMPLES: Final = 24
"""The most samples that are kept as they are."""
MOST_POINTS: Final = 2_000
"""The most pairs of truth and prediction that are kept."""
MOST_CLASSES: Final = 100
"""The most classes that a confusion matrix has."""


def predictions_beside(folder: Path) -> Path:
    """Returns the file in which a saved model's predictions are, next to its folder."""
    return folder.with_name(f"{folder.name}-validation.json")


@dataclass(frozen=True)
class ClassCounts:
    """How many samples of a class there are, and what was predicted."""

    name: str
    samples: int
    predicted: int  # Samples that are predicted as it, rightly or not.
    correct: int  # Samples of it that are predicted as it.


@dataclass(frozen=True)
class WorstSample:
    """A sample whose true class gets a low probability."""

    index: int  # Its place in the validation data, from 0.
    true: int
    predicted: int  # The class of the highest probability; it may be the true one.
    probability: float  # Of the true class, 0 to 1.
    confidence: float  # Of the predicted class.
    png: bytes = b""  # Empty if the sample is no image.
    # Its values by column, as they were before preprocessing; texts are shortened. Empty if it is
    # an image, or too large.
    row: Mapping[str, float | str] = field(default_factory=dict)


@dataclass(frozen=True)
class ValidationPredictions:
    """What the champion predicts of the validation data.

    All samples are counted, each once, whatever its weight; only some are kept.
    """

    uuid: str  # Of the trial.
    trial: int
    epoch: int  # The trial's best epoch, whose weights predict.
    kind: PredictionKind  # ``"binary"``: one output of a probability.
    samples: int
    class_names: tuple[str, ...] = ()  # Of the classes 0, 1, 2 and so on; none of a regression.
    classes: tuple[ClassCounts, ...] = ()  # In the same order.
    # Samples by true class (rows) and predicted class (columns). Empty for a regression, or more
    # than `MOST_CLASSES` classes.
    confusion: tuple[tuple[int, ...], ...] = ()
    # The samples whose true class got the lowest probability, the lowest first; at most
    # `MOST_SAMPLES`.
    worst: tuple[WorstSample, ...] = ()
    # A regression has the targets of samples at even distances, at most `MOST_POINTS`.
    truth: tuple[float, ...] = ()
    predicted: tuple[float, ...] = ()  # Of the same samples.
    # The same samples, before preprocessing, if each is a single number.
    feature: tuple[float, ...] = ()
    feature_name: str = "x"
    rule: tuple[float, ...] = ()  # Their targets without noise, of made data whose rule is known.
    output: str = ""  # Its name; empty if the model has just one output.
    others: tuple[ValidationPredictions, ...] = ()  # Of the model's other outputs.

    def of(self, uuid: str, epoch: int) -> ValidationPredictions:
        """Returns the predictions with the uuid and the epoch of their trial."""
        others = tuple(each.of(uuid, epoch) for each in self.others)
        return dataclasses.replace(self, uuid=uuid, epoch=epoch, others=others)

    @property
    def correct(self) -> int:
        """Samples whose class is predicted; 0 for a regression."""
        return sum(each.correct for each in self.classes)
