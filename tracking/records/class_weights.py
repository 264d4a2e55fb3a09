"""Class weights as JSON has them: their keys are texts."""

from __future__ import annotations

from collections.abc import Mapping

ClassWeight = Mapping[int, float]
"""How much the training samples of each class count; a class without counts 1."""


def read_class_weight(fields: Mapping[str, float] | None) -> ClassWeight | None:
    """Returns class weights that were read from JSON."""
    return None if fields is None else {int(label): weight for label, weight in fields.items()}
