"""Names and values in MLflow's spelling.

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
