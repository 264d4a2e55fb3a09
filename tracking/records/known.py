"""Results that a study did not make itself: trials of Optuna, MLflow or Keras Tuner."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

KnownKind = Literal["optuna", "mlflow", "keras_tuner"]


@dataclass(frozen=True)
class KnownSource:
    """Where known results are; they are read when a study begins.

    Attributes:
        kind: What made them.
        place: Address of Optuna's storage or of MLflow, or Keras Tuner's folder.
        name: The study, or MLflow's experiment; empty if it is the only one.
        metric: Which of its metrics is the study's objective; empty: that of the objective's name.
    """

    kind: KnownKind
    place: str
    name: str = ""
    metric: str = ""

    @property
    def origin(self) -> str:
        """Its name for people."""
        named = f" ({self.name})" if self.name else ""
        return f"{self.kind} {self.place}{named}"


@dataclass(frozen=True)
class KnownResults:
    """Known results of one source, as they were read when the study began.

    They are no trials of the study: they have no checkpoint, and can't be its champion.

    Attributes:
        source: Where they were.
        values: Values of each in the study's space.
        objectives: The objective of each.
        left_out: How many were left out, by reason.
    """

    source: KnownSource
    values: Sequence[Mapping[str, Any]] = ()
    objectives: Sequence[float] = ()
    left_out: Mapping[str, int] | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of the values and objectives."""
        fields = {"values": list(self.values), "objectives": list(self.objectives)}
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()

    def best(self, direction: str) -> float | None:
        """The best objective, or None."""
        best = max if direction == "max" else min
        return best(self.objectives, default=None)

    def to_dict(self) -> dict[str, Any]:
        """Returns it for JSON."""
        return {**asdict(self), "digest": self.digest}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> KnownResults:
        """Reads what `to_dict` returned."""
        found = {name: value for name, value in fields.items() if name != "digest"}
        return cls(**{**found, "source": KnownSource(**fields["source"])})


def best_known(known: Sequence[KnownResults], direction: str) -> float | None:
    """Returns the best objective of all known results, or None."""
    found = [value for each in known for value in each.objectives]
    return (max if direction == "max" else min)(found, default=None)


def known_line(known: KnownResults, direction: str) -> str:
    """Returns one line on known results, for people."""
    best, count = known.best(direction), len(known.objectives)
    text = f"{count} results of {known.source.origin}"
    text += f", the best {best:.6g}" if best is not None else ""
    left = [f"{n} {why}" for why, n in (known.left_out or {}).items()]
    return f"{text}; left out: {', '.join(left)}" if left else text
