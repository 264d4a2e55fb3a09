"""The summary at the top of a study's page in the MLflow UI."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from tracking.history.study_history import StudyHistory
from tracking.records import TrialRecord

_TOP = 10


def study_note(history: StudyHistory, stopped: str) -> str:
    """Returns a summary of a study in Markdown: best trial, top trials, what to do next.

    Args:
        history: The study as recorded.
        stopped: Why the launch ended, for example "all 40 trials are done".
    """
    description, best = history.description, history.best
    objective = description.objective
    counts = history.counts()
    states = ", ".join(f"{n} {name}" for name, n in counts.items() if n and name != "total")
    valued = best is not None and best.best is not None
    lines = [
        f"### Study {_plain(description.name)}",
        # The most important first: the UI folds long descriptions.
        _headline(best, objective.metric) if valued else "No trial has a value yet.",
        "",
        f"{counts['total']} trials: {states or 'none'}. Stopped: {stopped}.  ",
        f"Engine `{description.engine}`, pruner `{description.pruner}`, "
        f"objective {objective.direction} `{objective.metric}`, seed {description.seed}.",
    ]
    if description.notes:
        lines += ["", _plain(description.notes)]
    if best is None or not valued:
        return "\n".join(lines)
    lines += [
        "",
        "```",
        *shell_commands(history, best),
        "```",
        "",
        *_table(history.top(_TOP), description.space.names),
    ]
    return "\n".join(lines)


def _headline(best: TrialRecord | None, metric: str) -> str:
    assert best is not None and best.best is not None, "asked for a trial with a value"
    return (
        f"**Best: trial {best.number}, {metric} {best.best.value:.6g} at epoch {best.best.epoch}**"
    )


def shell_commands(
    history: StudyHistory, best: TrialRecord, without: Path | None = None
) -> list[str]:
    """Returns the commands that show and reproduce a study's best trial.

    Args:
        history: The study.
        best: The trial.
        without: A store's folder that the commands need not name.
    """
    import shlex

    name, root = shlex.quote(history.description.name), history.store.root
    store = "" if root == without else f" --store {shlex.quote(str(root))}"
    more = f" --engine {history.description.engine}" if len(history.engines) > 1 else ""
    return [
        f"kerastudy ui {name}{store}",
        f"kerastudy reproduce {name} --trial {best.number}{more}{store}",
    ]


def _table(trials: Iterable[TrialRecord], names: Iterable[str]) -> list[str]:
    names = list(names)
    header = ["trial", "value", "epoch", *names]
    lines = ["|".join(["", *map(_cell, header), ""]), "|" + "---|" * len(header)]
    for trial in trials:
        assert trial.best is not None, "ranked trials have a value"
        values = [_number(trial.spec.values.get(name, "")) for name in names]
        row = [str(trial.number), f"{trial.best.value:.6g}", str(trial.best.epoch), *values]
        lines.append("|".join(["", *map(_cell, row), ""]))
    return lines


def _number(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value)


def _cell(text: str) -> str:
    return f" {_plain(' '.join(text.split()))} "


def _plain(text: str) -> str:
    """Escapes Markdown's table and code marks in a user's text."""
    return text.replace("|", "\\|").replace("`", "'")
