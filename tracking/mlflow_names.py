"""Names of metrics and hyperparameters as MLflow takes them.

MLflow allows letters, digits and ``_ - . space : /``, and no name that would change as a path.
Keras and a search space allow more: what MLflow refuses is spelled ``:x40:`` for ``@``.
"""

from __future__ import annotations

import posixpath
import re

_REFUSED = re.compile(r"[^\w\-. :/]|:(?=x[0-9a-f]+:)")
_SPELLED = re.compile(r":x([0-9a-f]+):")


def to_mlflow(name: str) -> str:
    """Returns a name as MLflow takes it; most are what they were."""
    spelled = _REFUSED.sub(_spell, name)
    if spelled.startswith("/") or posixpath.normpath(spelled) != spelled or spelled in (".", ".."):
        spelled = re.sub(r"[/.]", _spell, spelled)
    return spelled


def from_mlflow(name: str) -> str:
    """Returns the name that `to_mlflow` was given."""
    return _SPELLED.sub(lambda match: chr(int(match[1], 16)), name)


def _spell(match: re.Match[str]) -> str:
    return f":x{ord(match[0]):x}:"
