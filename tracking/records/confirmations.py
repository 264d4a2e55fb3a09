"""What was found when a study's choice was checked: `kerastudy confirm`, and without training."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

from tracking.records.data_findings import ConstantGuess
from tracking.records.objective import Direction


@dataclass(frozen=True)
class Interval:
    """A value and its interval.

    Attributes:
        value: The estimate.
        low: The lower bound.
        high: The upper bound.
        level: What share of such intervals hold the truth, 0 to 1.
    """

    value: float
    low: float
    high: float
    level: float = 0.95


@dataclass(frozen=True, repr=False)
class Corrected:
    """The best value of a study, corrected for being the best of many.

    By the bootstrap bias correction (BBC): Tsamardinos, Greasidou and Borboudakis, Bootstrapping
    the out-of-sample predictions for efficient and accurate cross-validation, Machine Learning 107,
    2018.

    Attributes:
        reported: The best value as it stands.
        estimate: The corrected value and its interval.
        trials: How many trials the choice was among.
        samples: Validation samples.
        resamples: Resamples of the bootstrap.
        note: What the correction leaves out, such as trials without scores; or empty.
        groups: Groups of samples that are independent of each other; 0: all samples are.
    """

    reported: float
    estimate: Interval
    trials: int
    samples: int
    resamples: int
    note: str = ""
    groups: int = 0

    def __repr__(self) -> str:
        """Returns one line: the value and its interval."""
        value, low, high = self.estimate.value, self.estimate.low, self.estimate.high
        return f"<corrected: {value:.4g} [{low:.4g}, {high:.4g}] of {self.reported:.4g} reported>"


@dataclass(frozen=True)
class Racer:
    """A trial in the race: trained again under new seeds.

    Attributes:
        trial: Its number; -1 for the space's defaults.
        values: Its validation objective under the first of the seeds, in their order; infeasible
            trainings have None.
        model_parameters: Scalar weights of its model.
        epochs: Its epochs.
    """

    trial: int
    values: tuple[float | None, ...]
    model_parameters: int = 0
    epochs: int = 0


@dataclass(frozen=True)
class Confirmation:
    """The outcome of `kerastudy confirm`.

    Attributes:
        study: The study's name.
        engine: The engine whose trials raced.
        run_id: Its MLflow run.
        metric: The objective's metric, such as ``"val_accuracy"``.
        direction: The objective's direction.
        reported_trial: The trial with the best value.
        reported: That value.
        corrected: The corrected value, or None.
        seeds: The new seeds, shared by all trials of the race; one that left it early was trained
            under the first of them.
        race: The trials of the race, best first.
        default: The space's defaults, trained under `test_seeds`; None if that was left out.
        winner: The trial that won the race.
        confirmed: The winner on the sealed test part; None if there is none.
        gain: How much better than the defaults the winner is: above 0 is better, whatever the
            direction. None if there is nothing to compare on.
        test_samples: Samples of the test part.
        test_digest: SHA-256 of the test part, or empty.
        readings: How often this test part was read, this time included.
        notes: What else a reader must know, in sentences.
        time: When it ended, in milliseconds since the epoch (Unix time).
        test_seeds: Further seeds, under which the winner and the defaults were trained to read the
            test part: no choice has seen them. Empty if it was not read.
        winner_on_test: The winner's objective on the test part under each of them.
        default_on_test: That of the defaults.
        guess: The most frequent class of the test part; None if it was not read, or its targets
            are no classes.
    """

    study: str
    engine: str
    run_id: str
    metric: str
    direction: Direction
    reported_trial: int
    reported: float
    corrected: Corrected | None
    seeds: tuple[int, ...]
    race: tuple[Racer, ...]
    default: Racer | None
    winner: int
    confirmed: Interval | None = None
    gain: Interval | None = None
    test_samples: int = 0
    test_digest: str = ""
    readings: int = 0
    notes: tuple[str, ...] = ()
    time: int = 0
    test_seeds: tuple[int, ...] = ()
    winner_on_test: tuple[float, ...] = ()
    default_on_test: tuple[float, ...] = ()
    guess: ConstantGuess | None = None

    def racer(self, trial: int) -> Racer:
        """Returns a trial of the race."""
        return next(each for each in self.race if each.trial == trial)

    def to_json(self) -> str:
        """Returns it as one line of JSON."""
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Confirmation:
        """Reads what `to_json` wrote.

        Raises:
            ValueError: If the text is something else; also KeyError or TypeError.
        """
        fields: dict[str, Any] = json.loads(text)
        corrected = fields["corrected"]
        read = {
            "corrected": None
            if corrected is None
            else Corrected(**{**corrected, "estimate": Interval(**corrected["estimate"])}),
            "race": tuple(_racer(each) for each in fields["race"]),
            "default": None if fields["default"] is None else _racer(fields["default"]),
            "confirmed": None if fields["confirmed"] is None else Interval(**fields["confirmed"]),
            "gain": None if fields["gain"] is None else Interval(**fields["gain"]),
            "guess": ConstantGuess(**fields["guess"]) if fields.get("guess") else None,
        }
        plain = {name: tuple(fields[name]) for name in _TUPLES if name in fields}
        return cls(**{**fields, **read, **plain})


_TUPLES = ("seeds", "notes", "test_seeds", "winner_on_test", "default_on_test")


def _racer(fields: dict[str, Any]) -> Racer:
    return Racer(**{**fields, "values": tuple(fields["values"])})
