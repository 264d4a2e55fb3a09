"""Names and values in MLflow's spelling.

MLflow allows letters, digits and ``_ - . space : /``, and no name that would change as a path.
Keras and a search space allow more: what MLflow refuses is spelled ``:x40:`` for ``@``.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from collections.abc import Iterable
from typing import Final

from search_spaces.errors import NotRecordableError

LONGEST: Final = 250
"""Characters that MLflow takes in the name of a param, a metric or a tag, and of a run."""
# Prefixes and suffixes of metrics of a trial or a study as a whole.
_AROUND: Final = ("study/best_", "best__std")
LONGEST_METRIC: Final = LONGEST - max(map(len, _AROUND))

_REFUSED = re.compile(r"[^\w\-. :/]|:(?=x[0-9a-f]+:)")
_SPELLED = re.compile(r":x([0-9a-f]+):")


def to_mlflow(name: str) -> str:
    """Returns a name in MLflow's spelling; most stay the same."""
    spelled = _REFUSED.sub(_spell, name)
    if spelled.startswith("/") or posixpath.normpath(spelled) != spelled or spelled in (".", ".."):
        spelled = re.sub(r"[/.]", _spell, spelled)
    return spelled


def from_mlflow(name: str) -> str:
    """Returns the name that `to_mlflow` spelled."""
    return _SPELLED.sub(lambda match: chr(int(match[1], 16)), name)


def check_names(hyperparameters: Iterable[str], metrics: Iterable[str]) -> None:
    """Raises NotRecordableError if the name of a hyperparameter or metric is too long."""
    for kind, names, longest in (
        ("hyperparameter", hyperparameters, LONGEST),
        ("metric", metrics, LONGEST_METRIC),
    ):
        for name in names:
            length = len(to_mlflow(name))
            if length > longest:
                spelled = "" if to_mlflow(name) == name else " as MLflow spells it"
                raise NotRecordableError(
                    f"The {kind} {name[:60]!r}… has a name of {length} characters{spelled}, and "
                    f"at most {longest} can be recorded. Give it a shorter name."
                )


def param_name(hyperparameter: str) -> str:
    """Returns the name of a hyperparameter among a run's params, cut if it is too long.

    A long name that joins while its study runs is cut instead of refused; the run's tags have the
    true name.
    """
    return _cut(to_mlflow(hyperparameter), LONGEST)


def metric_name(metric: str) -> str:
    """Returns the name of a metric in a study, cut if it could not be recorded.

    A metric that only some trials have is no longer refused.
    """
    spelled = to_mlflow(metric)
    cut = _cut(spelled, LONGEST_METRIC)
    return metric if cut == spelled else from_mlflow(cut)


def portable(text: str) -> str:
    """Returns a text that any database of MLflow's takes: PostgreSQL has no NUL in texts."""
    return text.replace("\0", "\N{SYMBOL FOR NULL}")


def _cut(spelled: str, longest: int) -> str:
    if len(spelled) <= longest:
        return spelled
    digest = hashlib.sha256(spelled.encode()).hexdigest()[:8]
    return f"{spelled[: longest - len(digest) - 1]}-{digest}"


def _spell(match: re.Match[str]) -> str:
    return f":x{ord(match[0]):x}:"


def spell(value: object) -> str:
    """Returns the one spelling of a hyperparameter's value: strings plainly, the rest as JSON."""
    return portable(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
