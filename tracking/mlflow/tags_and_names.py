"""The tags that kerastudy writes in MLflow, and the spelling of names there.

MLflow allows 250 characters in a name: letters, digits and ``_ - . space : /``. A name must also be
a normal path, e.g. not ``a//b``. Names in Keras and in search spaces may be longer and contain
other characters. `to_mlflow` replaces characters that MLflow refuses by their codes, e.g. ``@`` by
``:x40:``, and cuts longer names.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from typing import Final

from search_spaces import Float, Int, Parameter

UUID: Final = "kerastudy.uuid"
"""The journal's uuid of an experiment, a run or a registered model."""
KIND: Final = "kerastudy.kind"
"""The kind of a run: ``"study"`` or ``"trial"``."""
ENGINE: Final = "kerastudy.engine"
HYPERPARAMETERS: Final = "kerastudy.hyperparameters"
"""A trial's exact hyperparameters, as JSON. The run's params are rounded to four digits."""
NUMBER: Final = "kerastudy.trial"
STATE: Final = "kerastudy.state"
REASON: Final = "kerastudy.reason"
DEFAULTS: Final = "kerastudy.defaults"
"""``"yes"`` for the trial with the defaults of the space."""
STOPPED: Final = "kerastudy.stopped"
"""A sentence that says why the last launch ended."""
BEST_EPOCH: Final = "kerastudy.best_epoch"
TRAINER: Final = "kerastudy.trainer"
VERIFIED: Final = "kerastudy.verified"
CHAMPION_RUN: Final = "kerastudy.champion_run"
PROMOTED: Final = "kerastudy.promoted"
"""Why a trial other than the best is the champion, e.g. "promoted"."""
UNREAD: Final = "kerastudy.unread"
"""Hyperparameters that the builder never reads."""

VIEW: Final = "mlflow.sharedViewState."
"""The prefix of the tags in which MLflow's UI keeps an experiment's views."""
PARENT: Final = "mlflow.parentRunId"
REGISTERED: Final = "mlflow.modelVersions"
"""For a logged model: the name and version of the registered model."""
NOTE: Final = "mlflow.note.content"
USER: Final = "mlflow.user"
SOURCE: Final = "mlflow.source.name"
SOURCE_TYPE: Final = "mlflow.source.type"
COMMIT: Final = "mlflow.source.git.commit"

LONGEST: Final = 8000
"""A run's tag has at most this many characters."""
LONGEST_NAME: Final = 250
"""The names of runs, metrics, params and tags have at most this many characters."""
_REFUSED = re.compile(r"[^\w\-. :/]|:(?=x)")
_NO_NAME: Final = ":x:"


def to_mlflow(name: str) -> str:
    """Returns the name of a metric, param or tag in MLflow's spelling.

    Different names have different spellings, because a digest is added to a name that is cut.
    """
    spelling = _REFUSED.sub(_spell, name) or _NO_NAME
    outside = spelling == "." or spelling.startswith(("/", ".."))
    if outside or posixpath.normpath(spelling) != spelling:
        spelling = re.sub(r"[/.]", _spell, spelling)
    if len(spelling) <= LONGEST_NAME:
        return spelling
    digest = hashlib.sha256(spelling.encode()).hexdigest()[:8]
    return f"{spelling[: LONGEST_NAME - len(digest) - 1]}-{digest}"


def portable(text: str) -> str:
    """Replaces the NUL characters in a text, because PostgreSQL refuses them."""
    return text.replace("\0", "\N{SYMBOL FOR NULL}")


def tag_text(text: str, most: int = LONGEST) -> str:
    """Returns a text that fits into a tag of a run: made `portable`, and cut if it is too long."""
    text = portable(text)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _spell(match: re.Match[str]) -> str:
    return f":x{ord(match[0]):x}:"


def axis_of(parameter: Parameter) -> str:
    """Returns the name of the param that charts draw for a hyperparameter.

    MLflow's scatter charts and parallel coordinates have no log scale. So a hyperparameter with a
    log scale has a second param with its logarithm.
    """
    return to_mlflow(f"log10 {parameter.name}" if is_log(parameter) else parameter.name)


def is_log(parameter: Parameter) -> bool:
    """Returns whether a hyperparameter is sampled on a log scale."""
    return isinstance(parameter, Float | Int) and parameter.scale == "log"


def spell(value: object) -> str:
    """Returns a hyperparameter's value as a param: a string unchanged, other values as JSON."""
    return portable(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
