"""The records of evaluations, confirmations and predictions.

An evaluation scores a trial on the test part. A confirmation trains the best trials again, under
new seeds. The predictions are those of the champion, for the validation data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from search_spaces.texts import counted, interval_numbers, interval_text, number
from tracking.records.study_code_and_data_records import ConstantGuess, Direction


@dataclass(frozen=True)
class Measured:
    """A metric on the test part."""

    value: float
    low: float | None = None  # The lower end of the confidence interval, or None.
    high: float | None = None
    validation: float | None = None  # The same metric on the validation part, or None.

    @property
    def text(self) -> str:
        """The value, with its bounds if it has any: ``0.969 (0.961 to 0.976)``."""
        if self.low is None or self.high is None:
            return number(self.value)
        return interval_text(self.value, self.low, self.high)


@dataclass(frozen=True)
class ReliabilityBin:
    """A point of a reliability diagram: samples with about the same predicted probability."""

    samples: int
    predicted: float  # The mean of their probabilities.
    observed: float  # The share of the samples in which the prediction came true.


@dataclass(frozen=True)
class Reliability:
    """How often predicted probabilities come true. All samples count the same.

    With two classes, the probabilities are those of the second class. With more classes, they are
    those of the predicted class. They are corrected for class weights of the training.
    """

    class_name: str | None  # The name of the second class. None with more than two classes.
    # The mean of the squared differences between the probabilities and what came true: 1 for the
    # true class, 0 for another one. With two classes, only the second class counts. With more, the
    # squares of all classes are added.
    brier: float
    bins: tuple[ReliabilityBin, ...]  # About equally many samples each, by rising probability.
    corrected: bool  # Whether class weights had to be corrected.

    @property
    def text(self) -> str:
        """Whose probabilities they are, and their Brier score."""
        of = "the predicted class" if self.class_name is None else self.class_name
        corrected = ", corrected for class weights" if self.corrected else ""
        return f"probability of {of}{corrected}: Brier score {number(self.brier)} (0 is best)"


@dataclass(frozen=True, repr=False)
class Evaluation:
    """An evaluation of a trial's weights on the test part.

    The intervals are computed as those of a confirmation, for one model instead of several seeds.
    An interval shows how much a metric may vary with the choice of test samples, or of groups of
    them. It does not show how much the metric varies between trainings.
    """

    study: str
    trial: int
    epoch: int  # The best epoch, whose weights were evaluated.
    samples: int
    digest: str  # SHA-256 of the test part.
    metrics: Mapping[str, Measured]  # The metrics by Keras's names, with the loss.
    note: str = ""  # Why metrics lack intervals, or empty.
    time: int = 0  # Unix time in milliseconds.
    # The uuid of the confirmation that trained the trial again and evaluated the new weights. Empty
    # if the trial's checkpoint was evaluated.
    confirmation: str = ""
    level: float = 0.95  # The confidence level of the intervals, e.g. 0.95 for 95 % intervals.
    guess: ConstantGuess | None = None  # The most frequent class of the test part, or None.
    reliability: Reliability | None = None  # None if the model gives no probabilities of classes.

    def __repr__(self) -> str:
        """Returns the evaluation in one line."""
        samples = counted(self.samples, "sample")
        return f"<Evaluation of {self.study} trial {self.trial}, {samples}: {self.metrics_text}>"

    def interval(self, objective: str) -> Interval | None:
        """Returns an objective, such as ``val_loss``, with its interval, or None without one."""
        found = self.metrics.get(objective.removeprefix("val_"))
        if found is None or found.low is None or found.high is None:
            return None
        return Interval(found.value, found.low, found.high, self.level)

    @property
    def metrics_text(self) -> str:
        """The metrics with their bounds: ``accuracy 0.969 (0.961 to 0.976), loss 0.1``."""
        return ", ".join(f"{name} {metric.text}" for name, metric in self.metrics.items())


@dataclass(frozen=True)
class Interval:
    """A value and its confidence interval."""

    value: float
    low: float
    high: float
    level: float = 0.95  # The confidence level, e.g. 0.95 for a 95 % interval.

    def text(self, *, level: bool = False, nonzero: bool = False) -> str:
        """Returns the value with its bounds, and with its `level`, by `interval_text`."""
        confidence = self.level if level else None
        return interval_text(self.value, self.low, self.high, confidence, nonzero=nonzero)

    def numbers(self, *values: float) -> tuple[str, ...]:
        """Returns values as texts, rounded as `text` rounds the bounds."""
        return interval_numbers(self.low, self.high, *values)


@dataclass(frozen=True, repr=False)
class Corrected:
    """The best value of a study, corrected for the luck of being the best of many trials.

    The method is the bootstrap bias correction (BBC): Tsamardinos, Greasidou and Borboudakis,
    Bootstrapping the out-of-sample predictions for efficient and accurate cross-validation, Machine
    Learning 107, 2018.
    """

    reported: float  # The best value before the correction.
    estimate: Interval
    trials: int  # The number of trials from which the best trial was chosen.
    samples: int  # The number of validation samples.
    resamples: int
    note: str = ""  # A sentence, e.g. that trials without scores were left out. May be empty.
    groups: int = 0  # The number of independent groups of samples. 0 without groups.

    def __repr__(self) -> str:
        """Returns one line with the value and its interval."""
        return f"<corrected: {self.estimate.text()} of {number(self.reported)} reported>"


@dataclass(frozen=True)
class Racer:
    """A trial in the race of a confirmation, which trains the best trials again with new seeds."""

    trial: int  # The trial's number. -1 for the space's defaults.
    # The objective on the validation data, for each seed. None for an infeasible training.
    values: tuple[float | None, ...]
    model_parameters: int = 0  # The number of scalar weights.
    epochs: int = 0


@dataclass(frozen=True)
class Confirmation:
    """The outcome of `kerastudy confirm`."""

    study: str
    uuid: str
    metric: str
    direction: Direction
    reported_trial: int  # The trial with the best recorded value.
    reported: float
    corrected: Corrected | None
    # The seeds of the race. A trial that left the race early has values for the first seeds only.
    seeds: tuple[int, ...]
    race: tuple[Racer, ...]  # The best trial first.
    # The trainings with the space's defaults, under `test_seeds`. None without such trainings.
    default: Racer | None
    winner: int
    confirmed: Interval | None = None  # The winner's value on the test part, or None.
    # The difference between the winner and the defaults, or None. A gain above 0 means that the
    # winner is better, even if the objective is minimized.
    gain: Interval | None = None
    test_samples: int = 0
    test_digest: str = ""  # The SHA-256 of the test part, or empty.
    readings: int = 0  # The number of evaluations on this test part so far, including this one.
    notes: tuple[str, ...] = ()  # Sentences with further facts for the user.
    time: int = 0  # The end, as Unix time in milliseconds.
    # The seeds of the trainings that were evaluated on the test part. The race has other seeds.
    # Empty without a test part.
    test_seeds: tuple[int, ...] = ()
    winner_on_test: tuple[float, ...] = ()  # The winner's objective on the test part, by seed.
    default_on_test: tuple[float, ...] = ()
    # The most frequent class of the test part, or None.
    guess: ConstantGuess | None = None

    def racer(self, trial: int) -> Racer:
        """Returns a trial of the race."""
        return next(racer for racer in self.race if racer.trial == trial)


MOST_SAMPLES: Final = 24
"""The most samples in `ValidationPredictions.worst`."""
MOST_POINTS: Final = 2_000
"""The most samples in `ValidationPredictions.truth` and `ValidationPredictions.predicted`."""
MOST_CLASSES: Final = 100
"""The most classes of a confusion matrix."""


MODEL_SUMMARY: Final = "model_summary.txt"
"""The name of the file with the text of `model.summary()`, in a saved model's folder."""


def predictions_beside(folder: Path) -> Path:
    """Returns the file with a saved model's predictions, next to the model's folder."""
    return folder.with_name(f"{folder.name}-validation.json")


@dataclass(frozen=True)
class WorstSample:
    """A validation sample whose true class gets a low probability."""

    index: int  # The sample's index in the validation data.
    true: int  # The true class.
    predicted: int  # The class with the highest probability, which may be the true class.
    probability: float  # The true class's probability, 0 to 1.
    confidence: float  # The predicted class's probability.
    png: bytes = b""  # The sample as a PNG file. Empty if it is no image.
    # The sample's values by column, before preprocessing. Long texts are cut. Empty if the sample
    # is an image, or too large.
    row: Mapping[str, float | str] = field(default_factory=dict)


@dataclass(frozen=True)
class ValidationPredictions:
    """The champion's predictions for the validation data. All counts ignore sample weights."""

    trial: int
    epoch: int  # The best epoch, whose weights predict.
    samples: int
    class_names: tuple[str, ...] = ()  # The names of classes 0, 1, …; empty for a regression.
    # The number of samples by true class (rows) and predicted class (columns). Empty for a
    # regression, and with more than `MOST_CLASSES` classes.
    confusion: tuple[tuple[int, ...], ...] = ()
    # The samples whose true class got the lowest probability, the lowest first.
    worst: tuple[WorstSample, ...] = ()
    # The targets of a regression. With more than `MOST_POINTS` validation samples, only the targets
    # of `MOST_POINTS` evenly spaced samples.
    truth: tuple[float, ...] = ()
    predicted: tuple[float, ...] = ()  # The predictions for the samples of `truth`.
    output: str = ""  # The output's name; empty if the model has one output.
    reliability: Reliability | None = None  # None if the output gives no probabilities of classes.

    @property
    def correct(self) -> int:
        """The number of samples whose true class is predicted, by the confusion matrix."""
        return sum(line[place] for place, line in enumerate(self.confusion))
