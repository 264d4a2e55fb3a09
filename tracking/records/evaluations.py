"""The value of a checkpoint on the sealed test part."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Measured:
    """A metric of a checkpoint.

    Attributes:
        value: On the test part.
        low: The lower bound of its 95 % interval, or None if it has none.
        high: The upper bound.
        validation: On the validation part, as recorded in training; None if it was not logged.
    """

    value: float
    low: float | None = None
    high: float | None = None
    validation: float | None = None


@dataclass(frozen=True, repr=False)
class Evaluation:
    """A reading of the sealed test part, by a checkpoint.

    The intervals of accuracies are exact; see `tracking.statistics.intervals`. Others are bootstrap
    percentiles: test samples are drawn with replacement, as many as there are, and each metric is
    computed on them. This is repeated `resamples` times; the bounds are the 2.5 % and 97.5 %
    quantiles. They show the chance in the test samples alone, not that in
    the training. (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.)

    Attributes:
        study: The study's name.
        engine: The trial's engine.
        run_id: The trial's MLflow run.
        trial: The trial's number.
        epoch: Its best epoch, whose weights were evaluated.
        samples: Test samples.
        digest: SHA-256 of the test part.
        metrics: Loss and metrics by the names that the model logs.
        resamples: Resamples of the bootstrap, drawn with seed 0; 0 if there are no intervals.
        note: Why metrics lack intervals, or empty.
        time: When it was read, in milliseconds since the epoch (Unix time).
        confirmation: The MLflow run of the confirmation that read it: trainings of the trial under
            new seeds, and of the space's defaults, together. Empty for a trial's checkpoint.
    """

    study: str
    engine: str
    run_id: str
    trial: int
    epoch: int
    samples: int
    digest: str
    metrics: Mapping[str, Measured]
    resamples: int = 0
    note: str = ""
    time: int = 0
    confirmation: str = ""

    def __repr__(self) -> str:
        """Returns it in one line."""
        metrics = ", ".join(
            f"{name} {each.value:.4g}"
            + ("" if each.low is None else f" [{each.low:.4g}, {each.high:.4g}]")
            for name, each in self.metrics.items()
        )
        return f"<Evaluation of {self.study} trial {self.trial}, {self.samples} samples: {metrics}>"

    def to_json(self) -> str:
        """Returns it as one line of JSON."""
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Evaluation:
        """Reads what `to_json` wrote.

        Raises:
            ValueError: If the text is something else; also KeyError or TypeError.
        """
        fields = json.loads(text)
        metrics = {name: Measured(**each) for name, each in fields["metrics"].items()}
        return cls(**{**fields, "metrics": metrics})
