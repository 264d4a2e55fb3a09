"""The records of checks: by plain `model.fit`, on the test part, and under new seeds.

kerastudy trains trials once more, by plain `model.fit`. A trial's `verified` has the outcome:

| text | meaning |
|---|---|
| ``model.fit, identical`` | every metric of every epoch, and the weights, are the same |
| ``model.fit, identical in epochs 1 to 3 of 20`` | the other epochs were not compared |
| ``model.fit, trained by it`` | not compared: `model.fit` trained the trial itself |
| ``a fit of its own, trained by it`` | not compared: a HyperModel's own `fit` trained it |
| ``an objective function, trained by it`` | not compared: an objective function trained it |
| ``model.fit, differs: …`` | plain `model.fit` gets another result |
| ``model.fit, not comparable: …`` | the result differs, but so do code, data or versions |
| ``model.fit, not run: …`` | the trial could not be trained again |
| ``off`` | not compared |
| ``reproduced bit for bit by model.fit, all 6 epochs, on …`` | `kerastudy reproduce` succeeded |
| ``not reproduced on …: …`` | `kerastudy reproduce` failed |

A later outcome replaces an earlier one. One exception: a comparison under equal code, data and
versions is not replaced by a difference under other ones.
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
"""The texts of trials that are not compared, as the same code would train them again."""

DIFFERS = "model.fit, differs: "
REPRODUCED = "reproduced bit for bit"
_NOT_REPRODUCED = "not reproduced on "
_NOT_COMPARABLE = "model.fit, not comparable: "
_NOT_RUN = "model.fit, not run: "


def identical(compared: int, epochs: int) -> str:
    """Returns the text for a trial whose first `compared` epochs are identical."""
    if compared >= epochs:
        return IDENTICAL
    named = "epoch 1" if compared == 1 else f"epochs 1 to {compared}"
    return f"{IDENTICAL} in {named} of {epochs}"


def differing(where: str) -> str:
    """Returns what is recorded of a trial whose result `model.fit` did not reproduce."""
    return DIFFERS + where


def not_comparable(why: str) -> str:
    """Returns what is recorded of a trial whose result, and code, data or versions, differ."""
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
    """Returns whether a text is an outcome of `kerastudy reproduce`."""
    return text.startswith((REPRODUCED, _NOT_REPRODUCED))


def differs(text: str) -> bool:
    """Returns whether `model.fit` gave another result than the recorded one."""
    return text.startswith(DIFFERS)


def is_whole(text: str) -> bool:
    """Returns whether all epochs of a trial are verified."""
    return text in (IDENTICAL, *TRAINED_BY_ITSELF) or text.startswith(REPRODUCED)


def is_known(text: str) -> bool:
    """Returns whether some epochs of a trial were compared under equal code, data and versions."""
    return is_whole(text) or is_partial(text) or differs(text)


def is_partial(text: str) -> bool:
    """Returns whether only the first epochs of a trial are verified."""
    return text.startswith(IDENTICAL) and not is_whole(text)


def in_words(text: str) -> str:
    """Returns a trial's `verified` in words for people who have not read this page."""
    if text in ("", OFF):
        return "not compared with a training by plain Keras (model.fit)"
    by_itself = {
        TRAINED_BY_FIT: "plain Keras (model.fit)",
        TRAINED_BY_OWN_FIT: "the model's own fit method",
        TRAINED_BY_OBJECTIVE: "your objective function",
    }
    if text in by_itself:
        return f"no second training to compare: {by_itself[text]} trained it"
    outcome = text.removeprefix("model.fit, ")
    return text if outcome == text else f"second training, by plain Keras (model.fit): {outcome}"


@dataclass(frozen=True)
class Measured:
    """A metric on the test part."""

    value: float
    low: float | None = None  # The 95 % interval, or None.
    high: float | None = None
    validation: float | None = None  # The recorded validation metric, or None.


@dataclass(frozen=True, repr=False)
class Evaluation:
    """An evaluation of a trial's weights on the test part.

    Accuracies have exact intervals. Other metrics have bootstrap intervals: the metric is computed
    on `resamples` random draws of the test samples, with replacement. The bounds are the 2.5 % and
    97.5 % quantiles. They show the chance in the choice of test samples, not in the training.
    (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.)
    """

    study: str
    engine: str
    trial: int
    epoch: int  # The best epoch, whose weights were evaluated.
    samples: int
    digest: str  # SHA-256 of the test part.
    metrics: Mapping[str, Measured]  # By Keras's names, with the loss.
    resamples: int = 0  # The number of bootstrap draws, with seed 0; 0 without intervals.
    note: str = ""  # Why metrics lack intervals, or empty.
    time: int = 0  # Unix time in milliseconds.
    # The uuid of the confirmation that trained the trial again and evaluated it. Empty if the
    # trial's checkpoint was evaluated.
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
    level: float = 0.95  # The confidence level, e.g. 0.95 for a 95 % interval.


@dataclass(frozen=True, repr=False)
class Corrected:
    """The best value of a study, corrected for the luck of being the best of many trials.

    The method is the bootstrap bias correction (BBC): Tsamardinos, Greasidou and Borboudakis,
    Bootstrapping the out-of-sample predictions for efficient and accurate cross-validation, Machine
    Learning 107, 2018.
    """

    reported: float  # The best value before the correction.
    estimate: Interval
    trials: int  # The number of trials that the best was chosen from.
    samples: int  # The number of validation samples.
    resamples: int
    note: str = ""  # E.g. that trials without scores were left out; may be empty.
    groups: int = 0  # The number of independent groups of samples; 0 without groups.

    def __repr__(self) -> str:
        """Returns one line with the value and its interval."""
        value, low, high = self.estimate.value, self.estimate.low, self.estimate.high
        return f"<corrected: {value:.4g} [{low:.4g}, {high:.4g}] of {self.reported:.4g} reported>"


@dataclass(frozen=True)
class Racer:
    """A trial in a confirmation's race, where the best trials are trained again under new seeds."""

    trial: int  # -1 for the space's defaults.
    # The objective on the validation data under each seed; None if a training was infeasible.
    values: tuple[float | None, ...]
    model_parameters: int = 0  # The number of scalar weights.
    epochs: int = 0


@dataclass(frozen=True)
class Confirmation:
    """The outcome of `kerastudy confirm`."""

    study: str
    engine: str
    uuid: str
    metric: str
    direction: Direction
    reported_trial: int  # The trial with the best recorded value.
    reported: float
    corrected: Corrected | None
    # The seeds of the race. A trial that left the race early was trained under the first ones only.
    seeds: tuple[int, ...]
    race: tuple[Racer, ...]  # Best first.
    # The trainings with the space's defaults, under `test_seeds`; None if there were none.
    default: Racer | None
    winner: int
    confirmed: Interval | None = None  # The winner's value on the test part, or None.
    # By how much the winner is better than the defaults; also for "min", above 0 means better. None
    # if the two were not compared.
    gain: Interval | None = None
    test_samples: int = 0
    test_digest: str = ""  # The SHA-256 of the test part, or empty.
    readings: int = 0  # The number of evaluations on this test part, with this one.
    notes: tuple[str, ...] = ()  # Sentences with further facts for the user.
    time: int = 0  # The end, as Unix time in milliseconds.
    # The seeds of the trainings that were evaluated on the test part. The race did not use these
    # seeds. Empty without a test part.
    test_seeds: tuple[int, ...] = ()
    # The winner's objective on the test part under each of `test_seeds`.
    winner_on_test: tuple[float, ...] = ()
    default_on_test: tuple[float, ...] = ()
    # The most frequent class of the test part, or None.
    guess: ConstantGuess | None = None

    def racer(self, trial: int) -> Racer:
        """Returns a trial of the race."""
        return next(each for each in self.race if each.trial == trial)


PredictionKind = Literal["classes", "binary", "regression"]

MOST_SAMPLES: Final = 24
"""The most samples in `ValidationPredictions.worst`."""
MOST_POINTS: Final = 2_000
"""The most pairs in `ValidationPredictions.truth` and `predicted`."""
MOST_CLASSES: Final = 100
"""The most classes of a confusion matrix."""


MODEL_SUMMARY: Final = "model_summary.txt"
"""The file with the text of `model.summary()` in a saved model's folder."""


def predictions_beside(folder: Path) -> Path:
    """Returns the file with a saved model's predictions, next to the model's folder."""
    return folder.with_name(f"{folder.name}-validation.json")


@dataclass(frozen=True)
class ClassCounts:
    """The counts of a class among the validation samples."""

    name: str
    samples: int
    predicted: int  # The samples that are predicted as this class.
    correct: int  # The samples of this class that are predicted as it.


@dataclass(frozen=True)
class WorstSample:
    """A validation sample whose true class gets a low probability."""

    index: int  # Its index in the validation data.
    true: int
    predicted: int  # The class of the highest probability, which may be the true class.
    probability: float  # The true class's probability, 0 to 1.
    confidence: float  # The predicted class's probability.
    png: bytes = b""  # Empty if the sample is no image.
    # The sample's values by column, before preprocessing. Long texts are cut. Empty if the sample
    # is an image, or too large.
    row: Mapping[str, float | str] = field(default_factory=dict)


@dataclass(frozen=True)
class ValidationPredictions:
    """The champion's predictions for the validation data.

    All samples are counted. Sample weights play no part.
    """

    uuid: str  # The trial's uuid.
    trial: int
    epoch: int  # The best epoch, whose weights predict.
    kind: PredictionKind  # ``"binary"``: the output is one probability.
    samples: int
    class_names: tuple[str, ...] = ()  # The names of classes 0, 1, …; empty for a regression.
    classes: tuple[ClassCounts, ...] = ()  # In the order of `class_names`.
    # The number of samples by true class (rows) and predicted class (columns). Empty for a
    # regression, and with more than `MOST_CLASSES` classes.
    confusion: tuple[tuple[int, ...], ...] = ()
    # The samples whose true class got the lowest probability, the lowest first.
    worst: tuple[WorstSample, ...] = ()
    # The targets of a regression; of every k-th sample, if there are more than `MOST_POINTS`.
    truth: tuple[float, ...] = ()
    predicted: tuple[float, ...] = ()  # The predictions for these samples.
    # The inputs of these samples before preprocessing, if each input is one number.
    feature: tuple[float, ...] = ()
    feature_name: str = "x"
    rule: tuple[float, ...] = ()  # The targets without noise, if a known rule made the data.
    output: str = ""  # The output's name; empty if the model has one output.
    others: tuple[ValidationPredictions, ...] = ()  # The predictions of the model's other outputs.

    def of(self, uuid: str, epoch: int) -> ValidationPredictions:
        """Returns a copy with a trial's uuid and epoch."""
        others = tuple(each.of(uuid, epoch) for each in self.others)
        return dataclasses.replace(self, uuid=uuid, epoch=epoch, others=others)

    @property
    def correct(self) -> int:
        """The number of samples whose true class is predicted; 0 for a regression."""
        return sum(each.correct for each in self.classes)
