"""The tags that kerastudy puts on MLflow's objects, and names in MLflow's spelling.

In MLflow, a name has at most 250 letters, digits and ``_ - . space : /``, and must not change if it
is normalized as a path. Keras and a search space allow more: other characters are spelled by their
codes, such as ``:x40:`` for ``@``, and a longer name is cut. The journal has all names as they are.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from typing import Final

UUID: Final = "kerastudy.uuid"
"""The uuid by which the journal knows an experiment, a run or a registered model."""
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
"""For a model trained again on more data, the run of its trial."""
VERDICT: Final = "kerastudy.verdict"
"""The verdict on a champion's value."""
UNREAD: Final = "kerastudy.unread"
"""Hyperparameters that the builder never reads."""

VIEW: Final = "mlflow.sharedViewState."
"""The beginning of the name of an experiment's tag that holds a view of MLflow's UI."""
PARENT: Final = "mlflow.parentRunId"
REGISTERED: Final = "mlflow.modelVersions"
"""Which version of which registered model a logged model is."""
RUN_NAME: Final = "mlflow.runName"
NOTE: Final = "mlflow.note.content"
USER: Final = "mlflow.user"
SOURCE: Final = "mlflow.source.name"
SOURCE_TYPE: Final = "mlflow.source.type"
COMMIT: Final = "mlflow.source.git.commit"

LONGEST: Final = 8000
"""MLflow cuts the text of a run's tag after so many characters, and only warns."""


_LONGEST: Final = 250
_REFUSED = re.compile(r"[^\w\-. :/]|:(?=x)")
_NO_NAME: Final = ":x:"


def to_mlflow(name: str) -> str:
    """Returns the name of a metric, param or tag in MLflow's spelling; most stay the same.

    Different names have different spellings: a name that is cut ends with its digest.
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
    """Returns a run's name; a long one is cut in the middle, and keeps number and value."""
    name, half = portable(name), _LONGEST // 2
    return name if len(name) <= _LONGEST else f"{name[: half - 1]}…{name[-half:]}"


def portable(text: str) -> str:
    """Returns a text that any database under MLflow takes: PostgreSQL allows no NUL in texts."""
    return text.replace("\0", "\N{SYMBOL FOR NULL}")


def _spell(match: re.Match[str]) -> str:
    return f":x{ord(match[0]):x}:"


def spell(value: object) -> str:
    """Returns the spelling of a hyperparameter's value: a string unchanged, others as JSON."""
    return portable(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
