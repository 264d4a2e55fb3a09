"""Writes a study as text: its results, or its definition before the launch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from search_spaces.texts import counted
from studies.terminal_text import (
    all_wrapped,
    in_blocks,
    printable,
    printable_path,
    printable_value,
    terminal_columns,
    width,
    wrapped,
)
from tracking.history.learning_curves import RecordedCurves, sparkline_if_curve
from tracking.history.study_history import StudyHistory
from tracking.history.verdicts import StudyVerdict
from tracking.records import EndedTrial, StudyDescription, TrialRecord
from tracking.summary import Fact, Summary, data_facts, summary_of, trial_rows

if TYPE_CHECKING:
    from studies.engines import Curve

_CURVE = 10


def study_text(
    history: StudyHistory,
    *,
    curve: Curve | None = None,
    verdict: StudyVerdict | None = None,
    top: int | None = None,
    every: bool = False,
) -> str:
    """Returns a study as text: its summary, its trials, its definition, and the next step.

    Args:
        history: The study.
        curve: A function that returns the curve of a trial. None stands for a function that reads
            the curve from the record.
        verdict: The verdict on the study. If it is None, it is computed here.
        top: How many of the best trials the text has. None stands for five, or for as many as fit
            into the terminal.
        every: Whether the text has all trials instead of the best.
    """
    summary = summary_of(history, verdict)
    if curve is None:
        curve = RecordedCurves(history.folder, history.trials if every else history.top(top or 5))
    lines = [*_outcome(summary), ""]
    if every and history.trials:
        lines += [*_all_trials(history, curve), ""]
    elif history.best is not None:
        lines += [*_top_trials(history, top, curve), ""]
    lines += all_wrapped(_lines(summary.definition))
    if history.best is not None:
        lines += _checkpoint(history, history.champion or history.best)
    lines.append("")
    for name, command in zip(["look", ""], summary.looking, strict=True):
        lines.append(f"{name:<10} {command.text}")
    return "\n".join([*lines, *_next_lines(summary)])


def verdict_text(history: StudyHistory) -> str:
    """Returns the outcome of a study in a few lines, with the next step."""
    summary = summary_of(history)
    return "\n".join([*_outcome(summary), *_next_lines(summary)])


def definition_text(description: StudyDescription) -> str:
    """Returns a study's definition, before its launch, as text."""
    from studies.launching import warnings_of

    objective, data = description.objective, description.data
    sizes = ", ".join(f"{size} {part}" for part, size in data.sizes.items()) or "not read to an end"
    times = f", {description.repeats} times each" if description.repeats > 1 else ""
    space = description.space
    epochs = "epochs tuned" if "epochs" in space else counted(description.epochs, "epoch")
    size = "tuned size" if "batch_size" in space else str(description.batch_size)
    trained = f"{epochs}, batches of {size}, seed {description.seed}"
    if description.folds:
        times = f" of {description.folds} folds"
        test = f", {data.sizes['test']} test" if "test" in data.sizes else ""
        sizes = f"{data.sizes['train']} in folds{test}"
    shown = f"{data.name}: {sizes}"
    origin = "found by tracing the builder"
    if description.declared:
        beside = [n for n in space.names if n not in description.declared]
        origin = f"declared, {len(beside)} of them by the builder" if beside else "declared"
    if description.objective_function:
        trained = f"by {description.objective_function}(trial), seed {description.seed}"
        shown = "its own: the objective function loads it"
        origin = origin.replace("tracing the builder", "running it up to its first fit")
    parameters = [line for each in space for line in wrapped(f"             {each!r}", indent=17)]
    notes = [f"script     {line}" for line in description.code.said]
    warnings = [f"warning    {warning}" for warning in warnings_of(description)]
    starts = [f"defaults   {_in_words(space.defaults())}"] if description.try_defaults else []
    starts += [f"start with {_in_words(values)}" for values in description.initial]
    starts += [f"           from {description.initial_from}"] if description.initial_from else []
    lines = [
        f"study      {description.name}",
        f"engine     {description.engine}, pruner {description.pruner}",
        f"objective  {objective.direction} {objective.metric}",
        f"trials     {description.trials}{times}, {trained}",
        f"data       {shown}",
        *_lines(data_facts(description)),
        *starts,
        f"space      {len(space)} hyperparameters, {origin}",
    ]
    end = [*notes, *warnings, "nothing was trained or written"]
    return "\n".join([*all_wrapped(lines), *parameters, *all_wrapped(end)])


def _outcome(summary: Summary) -> list[str]:
    name = Fact("study", summary.history.description.name)
    facts = [*_lines([name, *summary.expected]), "", *_lines(summary.search)]
    return all_wrapped(facts)


def _next_lines(summary: Summary) -> list[str]:
    """Returns the next steps. A command has its own line, so that people can copy it."""
    lines = [""] if summary.commands else []
    for place, command in enumerate(summary.commands):
        lines += wrapped(f"{'or' if place else 'next':<10} {command.purpose}:")
        lines.append(f"           {command.text}")
    return lines


def _in_words(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {printable_value(value)}" for name, value in values.items())


def _lines(facts: Iterable[Fact]) -> list[str]:
    return [f"{fact.name:<10} {fact.text}" for fact in facts]


def _checkpoint(history: StudyHistory, trial: EndedTrial) -> list[str]:
    if trial.result.unsaved:
        return all_wrapped([f"checkpoint none: {trial.result.unsaved}"])
    # A path stays on one line, so that people can copy it.
    return [f"checkpoint {printable_path(history.checkpoint(trial))}"]


def _top_trials(history: StudyHistory, count: int | None, curve: Curve) -> list[str]:
    """Returns a table of the best trials.

    The table has a row for each trial. If the rows are too long for the terminal, it has a column
    for each trial instead. If `count` is None, there are five rows, or as many columns as fit.
    """
    rows = _rows(history, history.top(count or 5), curve)
    if _fits(rows):
        return in_blocks(_transposed(rows))
    return in_blocks(rows, most=1 if count is None else None)


def _all_trials(history: StudyHistory, curve: Curve) -> list[str]:
    """Returns a table with a row for each trial, and columns for the hyperparameters that fit."""
    columns = _transposed(_rows(history, history.trials, curve))
    count = len(columns) - len(history.description.space)
    while count < len(columns) and _fits(_transposed(columns[: count + 1])):
        count += 1
    lines = in_blocks(columns[:count], most=1)
    if count < len(columns):
        more = counted(len(columns) - count, "more hyperparameter")
        lines += ["", f"{more}: see show --trial N, or --json"]
    return lines


def _rows(history: StudyHistory, trials: Sequence[TrialRecord], curve: Curve) -> list[list[str]]:
    """Returns a heading, and a row for each trial.

    If any trial has a learning curve, there is a column with the curves.
    """
    heading, rows = trial_rows(history, trials)
    curves = [sparkline_if_curve([*curve(trial).values()], _CURVE) for trial in trials]
    if any(curves):
        for row, cell in zip([heading, *rows], ["curve", *curves], strict=True):
            row.insert(4, cell)
    return [[printable(cell) for cell in row] for row in (heading, *rows)]


def _transposed(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _fits(rows: Sequence[Sequence[str]]) -> bool:
    widths = [max(map(width, column)) for column in zip(*rows, strict=True)]
    return sum(widths) + 2 * (len(widths) - 1) <= terminal_columns()
