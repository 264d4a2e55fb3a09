"""The tags that kerastudy puts on MLflow's objects, and names in MLflow's spelling.

MLflow allows 250 letters, digits and ``_ - . space : /``, and no name that would change as a path.
Keras and a search space allow more: what MLflow refuses is spelled ``:x40:`` for ``@``, and a
longer name is cut. The journal has all names as they are.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from typing import Final

UUID: Final = "kerastudy.uuid"
"""The identity in the journal of an experiment, a run or a registered model."""
KIND: Final = "kerastudy.kind"
"""``"study"`` for a parent run, ``"trial"`` for a child, ``"repeat"`` or ``"fold"`` below it."""
CONFIRMATION_KIND: Final = "confirmation"
"""The kind of a run that checks the study's choice."""
TRAINING_KIND: Final = "confirmation training"
"""The kind of a run below a confirmation."""
REPEAT: Final = "kerastudy.repeat"
ENGINE: Final = "kerastudy.engine"
NUMBER: Final = "kerastudy.trial"
STATE: Final = "kerastudy.state"
REASON: Final = "kerastudy.reason"
DEFAULTS: Final = "kerastudy.defaults"
"""``"yes"``: the trial that has the defaults of the space."""
STOPPED: Final = "kerastudy.stopped"
"""Why the last launch of a study ended, for people to read."""
BEST_EPOCH: Final = "kerastudy.best_epoch"
TRAINER: Final = "kerastudy.trainer"
VERIFIED: Final = "kerastudy.verified"
CHAMPION_RUN: Final = "kerastudy.champion_run"
PROMOTED: Final = "kerastudy.promoted"
"""The reason for a champion that was not chosen as the best."""
REFIT_OF: Final = "kerastudy.refit_of"
"""The trial's run of a model that was trained on more data."""
VERDICT: Final = "kerastudy.verdict"
"""The verdict on a champion's value."""
UNREAD: Final = "kerastudy.unread"
"""Hyperparameters that the builder never reads."""

VIEW: Final = "mlflow.sharedViewState."
"""The beginning of an experiment's tag that holds a view in MLflow's UI."""
PARENT: Final = "mlflow.parentRunId"
REGISTERED: Final = "mlflow.modelVersions"
"""The version of a registered model that a logged model is."""
RUN_NAME: Final = "mlflow.runName"
NOTE: Final = "mlflow.note.content"
USER: Final = "mlflow.user"
SOURCE: Final = "mlflow.source.name"
SOURCE_TYPE: Final = "mlflow.source.type"
COMMIT: Final = "mlflow.source.git.commit"

LONGEST: Final = 8000
"""MLflow cuts a run's tag at so many characters, with no more than a warning."""


_LONGEST: Final = 250
_REFUSED = re.compile(r"[^\w\-. :/]|:(?=x)")
_NO_NAME: Final = ":x:"


def to_mlflow(name: str) -> str:
    """Returns a name in MLflow's spelling, of a metric, a param or a tag; most stay the same.

    Two names have two spellings: one that is cut ends with its digest.
    """
    spelled = _REFUSED.sub(_spell, name) or _NO_NAME
    outside = spelled == "." or spelled.startswith(("/", ".."))
    if outside or posixpath.normpath(spelled) != spelled:
        spelled = re.sub(r"[/.]", _spell, spelled)
    if len(spelled) <= _LONGEST:
        return spelled
    digest = hashlib.sha256(spelled.encode()).hexdigest()[:8]
    return f"{spelled[: _LONGEST - len(digest) - 1]}-{digest}"


def run_title(name: str) -> str:
    """Returns the name of a run: of a long one beginning and end, its number and its value."""
    name, half = portable(name), _LONGEST // 2
    return name if len(name) <= _LONGEST else f"{name[: half - 1]}…{name[-half:]}"


def portable(text: str) -> str:
    """Returns a text that any database of MLflow's takes: PostgreSQL has no NUL in texts."""
    return text.replace("\0", "\N{SYMBOL FOR NULL}")


def _spell(match: re.Match[str]) -> str:
    return f":x{ord(match[0]):x}:"


def spell(value: object) -> str:
    """Returns the one spelling of a hyperparameter's value: strings plainly, the rest as JSON."""
    return portable(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
