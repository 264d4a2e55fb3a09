"""Names the place of results that a study begins with."""

from __future__ import annotations

import os
from typing import Any, Final

from search_spaces.errors import StudyError
from search_spaces.suggestions import suggestion
from tracking.records.known import KnownKind, KnownSource

_KINDS: Final[dict[str, KnownKind]] = {
    "optuna": "optuna",
    "mlflow": "mlflow",
    "keras_tuner": "keras_tuner",
    "keras-tuner": "keras_tuner",
}


def import_study(
    kind: str, place: Any, name: str | None = None, *, metric: str | None = None
) -> KnownSource:
    """Names results of an earlier search, for `Study(known=…)`.

    They are read once, when the study begins, and recorded with it. Optuna's TPE and Keras Tuner's
    Bayesian engine learn from them, and CMA-ES begins at the best one; others don't. They are no
    trials of the study.

    Args:
        kind: ``"optuna"``, ``"mlflow"`` or ``"keras_tuner"``.
        place: Address of Optuna's storage, such as ``"sqlite:///old.db"``, or its journal file;
            MLflow's address; or the folder of a Keras Tuner project.
        name: Optuna's study, or MLflow's experiment. None: the only one.
        metric: Which metric of MLflow or Keras Tuner is the study's objective. None: that of the
            objective's name.

    Raises:
        StudyError: If the kind is unknown, or the place is no address.

    Example:
        >>> ks.import_study("optuna", "sqlite:///old.db", name="mnist").origin
        'optuna sqlite:///old.db (mnist)'
    """
    if not isinstance(kind, str) or kind not in _KINDS:
        raise StudyError(f"There are no results of a kind {kind!r}. {suggestion(kind, _KINDS)}")
    # An RDBStorage of Optuna's has its address.
    address = getattr(place, "url", place)
    if isinstance(address, os.PathLike):
        address = os.fspath(address)
    if not isinstance(address, str) or not address:
        raise StudyError(
            f"The place of known results must be an address or a path. Received: {place!r:.200}"
        )
    return KnownSource(_KINDS[kind], address, name or "", metric or "")


def known_from_text(text: str) -> KnownSource:
    """Returns the place that ``--known KIND:PLACE`` or ``--known KIND:PLACE#NAME`` names.

    Raises:
        StudyError: If it names none.
    """
    kind, colon, rest = text.partition(":")
    if not colon or not rest:
        raise StudyError(
            "--known takes KIND:PLACE or KIND:PLACE#NAME, such as optuna:sqlite:///old.db#mnist. "
            f"Received: {text!r}."
        )
    place, _, name = rest.partition("#")
    return import_study(kind, place, name)
