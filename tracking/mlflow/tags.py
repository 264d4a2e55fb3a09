"""The tags that kerastudy puts on MLflow's experiments, runs and models."""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from typing import Final

UUID: Final = "kerastudy.uuid"
"""Of an experiment, a run and a registered model: its identity in the journal."""
KIND: Final = "kerastudy.kind"
"""``"study"`` for a parent run, ``"trial"`` for a child, ``"repeat"`` or ``"fold"`` below it."""
CONFIRMATION_KIND: Final = "confirmation"
"""Of a child that is no trial: the study's choice is checked."""
TRAINING_KIND: Final = "confirmation training"
"""Of a run below that."""
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
"""Of a champion that was not chosen as the best: why."""
REFIT_OF: Final = "kerastudy.refit_of"
"""Of a model that was trained on more data: the trial's run."""
VERDICT: Final = "kerastudy.verdict"
"""Of a champion: how much of its value to believe."""
UNREAD: Final = "kerastudy.unread"
"""Hyperparameters that the builder never reads."""

VIEW: Final = "mlflow.sharedViewState."
"""Of an experiment: a view in MLflow's UI, by its id."""
PARENT: Final = "mlflow.parentRunId"
REGISTERED: Final = "mlflow.modelVersions"
"""Of a model: the version of a registered model that it is."""
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
