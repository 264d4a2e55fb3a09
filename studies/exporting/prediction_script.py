"""Writes the script that predicts the rows of a CSV file by an exported model of a table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from studies.data import numbers_texts_and_dates
from tracking.records import ClassWeight


def prediction_script(folder: Path, model: str, script: str, weights: ClassWeight | None) -> str:
    """Returns the text of a script that needs Keras and pandas, but not kerastudy.

    Args:
        folder: The folder to which MLflow saved the model.
        model: The name of the `.keras` file beside the script.
        script: The name of the script's file.
        weights: The class weights of the model's training, for which its probabilities are
            corrected.
    """
    # These imports take long, and few commands need them.
    import jinja2
    from mlflow.models import Model

    from studies.training import class_probabilities, load_keras_model, loss_of, reading_of

    metadata: Mapping[str, Any] = Model.load(str(folder)).metadata or {}
    keras_model = load_keras_model(folder)
    loss, size = loss_of(keras_model), keras_model.output_shape[-1]
    names = metadata["class_names"]
    odds = class_probabilities(loss, np.full((1, size), 1 / size), len(names))
    count = 0 if odds is None else odds.shape[1]
    classes = [str(name) for name in (names if len(names) >= count else range(count))][:count]
    logits = ("sigmoid" if size == 1 else "softmax") if getattr(loss, "from_logits", False) else ""
    by_class = [(weights or {}).get(place, 1.0) for place in range(count)]
    # The functions that read values stand in the script, as a registered model has them too.
    values = Path(numbers_texts_and_dates.__file__).read_text(encoding="utf-8")
    values = values[values.index("from __future__") :].rstrip()
    template = Path(__file__).with_name("prediction_script.py.jinja").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        trim_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined
    )
    return environment.from_string(template).render(
        model=model,
        script=script,
        values=values,
        reading=reading_of(folder),
        classes=classes,
        binary=count == 2 and size == 1,
        logits=logits if classes else "",
        weights=by_class if len({*by_class}) > 1 and all(by_class) else None,
        target=metadata["target"],
    )
