"""The direction of a metric, by the metric object of a built model."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from studies.definition.objective import known_direction, unknown_direction
from tracking.records import Direction, Objective

if TYPE_CHECKING:
    import keras


def settled(objective: str | Objective, model: keras.Model | None) -> Objective:
    """Returns an objective with its direction, by its name or a model that has measured a batch.

    Raises ObjectiveError if neither the name nor the metric's object shows the direction.
    """
    if isinstance(objective, Objective):
        return objective
    direction = None if model is None else _direction(objective, model)
    if direction is None:
        raise unknown_direction(objective)
    return Objective(objective, direction)


def _direction(name: str, model: keras.Model) -> Direction | None:
    """Returns the direction of a metric, by its logged name.

    Keras logs a metric under its name, after that of its output if there are several, and before a
    number if two have the same name.
    """
    logged = name.removeprefix("val_")
    outputs = list(getattr(model, "output_names", None) or ())
    if logged.removesuffix("_loss") in outputs:
        return "min"
    spelled = [logged, re.sub(r"_\d+$", "", logged)]
    spelled += [s.removeprefix(f"{o}_") for s in spelled for o in outputs]
    found = {_direction_of(each) for each in _metrics(model) if each.name in spelled}
    return found.pop() if len(found) == 1 else None


def _metrics(model: keras.Model) -> Iterator[Any]:
    for each in model.metrics:
        # Keras keeps the metrics of compile() in a container metric.
        yield from getattr(each, "metrics", None) or [each]


def _direction_of(metric: Any) -> Direction | None:
    for kind in type(metric).__mro__:
        if kind.__module__.partition(".")[0] == "keras":
            direction = known_direction(snake_case(kind.__name__))
            if direction is not None:
                return direction
    # Keras's function with a user's name: MeanMetricWrapper(keras.losses.mse, "error").
    with contextlib.suppress(Exception):
        function = metric.get_config()["fn"]
        if function.get("module", "").partition(".")[0] in ("keras", "builtins"):
            return known_direction(str(function["config"]))
    return None


def snake_case(name: str) -> str:
    """Returns Keras's name for a class: of a metric by default, of a loss for its function."""
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
