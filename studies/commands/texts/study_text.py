"""Writes a study as text: its results, or its plan before it is launched."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from studies.commands.texts.tables import spelled
from studies.commands.texts.trial_text import all_trials, top_trials
from studies.terminal_text import all_wrapped, printable, wrapped
from tracking.history.study_history import StudyHistory
from tracking.history.trials import RecordedCurves
from tracking.history.verdicts import StudyVerdict
from tracking.records import EndedTrial, StudyDescription
from tracking.store.store_folder import default_store_path
from tracking.summary import Fact, Summary, data_facts, summary_of

if TYPE_CHECKING:
    from studies.engines import Curve


def study_text(
    history: StudyHistory,
    *,
    curve: Curve | None = None,
    verdict: StudyVerdict | None = None,
    top: int | None = None,
    every: bool = False,
) -> str:
    """Returns a study as text: its summary, its trials, its definition, and the next step.

    A launch passes the curves and the verdict, so that they are not read again. The text has the
    `top` best trials, or `every` trial. By default, it has the best five, or as many as fit.
    """
    summary = summary_of(history, default_store_path().absolute(), verdict)
    if curve is None:
        curve = RecordedCurves(history.folder, history.trials if every else history.top(top or 5))
    lines = [*_outcome(summary), ""]
    if every and history.trials:
        lines += [*all_trials(history, curve), ""]
    elif history.best is not None:
        lines += [*top_trials(history, top, curve), ""]
    lines += all_wrapped(_lines(summary.definition))
    if history.best is not None:
        lines += _checkpoint(history, history.champion or history.best)
    lines += [
        "",
        *(
            f"{'look' if not place else '':<10} {each.text}"
            for place, each in enumerate(summary.looking)
        ),
    ]
    return "\n".join([*lines, *next_lines(summary)])


def next_lines(summary: Summary) -> list[str]:
    """Returns the next step. Each command is on a line of its own, so that people can copy it."""
    lines = [""] if summary.commands else []
    for place, each in enumerate(summary.commands):
        lines += wrapped(f"{'or' if place else 'next':<10} {each.purpose}:")
        lines.append(f"           {each.text}")
    return lines


def verdict_text(history: StudyHistory) -> str:
    """Returns the outcome of a study in a few lines, with the next step."""
    summary = summary_of(history, default_store_path().absolute())
    return "\n".join([*_outcome(summary), *next_lines(summary)])


def definition_text(description: StudyDescription) -> str:
    """Returns the plan of a study as text."""
    from studies.launching import warnings_of

    objective, data = description.objective, description.data
    sizes = ", ".join(f"{size} {part}" for part, size in data.sizes.items()) or "not read to an end"
    times = f", {description.repeats} times each" if description.repeats > 1 else ""
    trained = (
        f"{description.epochs} epochs, batches of {description.batch_size}, seed {description.seed}"
    )
    if description.folds:
        times = f" of {description.folds} folds"
        test = f", {data.sizes['test']} test" if "test" in data.sizes else ""
        sizes = f"{data.sizes['train']} in folds{test}"
    shown = f"{data.name}: {sizes}"
    origin = "found by tracing the builder"
    if description.declared:
        beside = [n for n in description.space.names if n not in description.declared]
        origin = f"declared, {len(beside)} of them by the builder" if beside else "declared"
    if description.objective_function:
        trained = f"by {description.objective_function}(trial), seed {description.seed}"
        shown = "its own: the objective function loads it"
        origin = origin.replace("tracing the builder", "running it up to its first fit")
    parameters = [
        line for each in description.space for line in wrapped(f"             {each!r}", indent=17)
    ]
    notes = [f"script     {line}" for line in description.code.said]
    warnings = [f"warning    {warning}" for warning in warnings_of(description)]
    starts = ["defaults   are tried first, as trial 0"] if description.try_defaults else []
    starts += [f"start with {spelled(values)}" for values in description.initial]
    starts += [f"           from {description.initial_from}"] if description.initial_from else []
    lines = [
        f"study      {description.name}",
        f"engine     {description.engine}, pruner {description.pruner}",
        f"objective  {objective.direction} {objective.metric}",
        f"trials     {description.trials}{times}, {trained}",
        f"data       {shown}",
        *_lines(data_facts(description)),
        *starts,
        f"space      {len(description.space)} hyperparameters, {origin}",
    ]
    end = [*notes, *warnings, "nothing was trained or written"]
    return "\n".join([*all_wrapped(lines), *parameters, *all_wrapped(end)])


def _outcome(summary: Summary) -> list[str]:
    name = Fact("study", summary.history.description.name)
    facts = [*_lines([name, *summary.expected]), "", *_lines(summary.search)]
    return all_wrapped(facts)


def _lines(facts: Iterable[Fact]) -> list[str]:
    return [f"{fact.name:<10} {fact.text}" for fact in facts]


def _checkpoint(history: StudyHistory, trial: EndedTrial) -> list[str]:
    if trial.result.unsaved:
        return all_wrapped([f"checkpoint none: {trial.result.unsaved}"])
    # A path stays on one line, so that people can copy it.
    return [f"checkpoint {printable(str(history.checkpoint(trial) or 'not kept'))}"]
