"""Writes a study, its definition before a launch, and a single trial, as text and as JSON.

The functions `…_text` return text for people, fitted to the terminal. The functions `…_document`
return JSON documents.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from search_spaces.errors import StudyError
from search_spaces.texts import counted, duration
from studies.terminal_text import (
    all_wrapped,
    in_blocks,
    printable,
    printable_path,
    printable_value,
    sparkline_if_curve,
    terminal_columns,
    width,
    wrapped,
)
from tracking.history import RecordedCurves, StudyHistory, StudyVerdict, read_model_summary
from tracking.records import (
    EndedTrial,
    StudyDescription,
    TrialRecord,
    TrialResult,
    in_words,
    reasons,
    to_json,
)
from tracking.shell_commands import reproduce_command, study_command
from tracking.study_summary import Fact, Summary, data_facts, summary_of, trainer_text, trial_rows

if TYPE_CHECKING:
    from studies.engines import Curve

# How many characters a learning curve takes in a table of trials, and in the text of one trial.
_CURVE, _LONG_CURVE = 10, 60


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
        curve = RecordedCurves(
            history.folder, history.trials if every else history.leading(top or 5)
        )
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
    sizes = (
        ", ".join(f"{size:,} {part}" for part, size in data.sizes.items()) or "not read to an end"
    )
    times = f", {description.repeats} times each" if description.repeats > 1 else ""
    space = description.space
    epochs = "epochs tuned" if "epochs" in space else counted(description.epochs, "epoch")
    size = "tuned size" if "batch_size" in space else str(description.batch_size)
    training = f"{epochs}, batches of {size}, seed {description.seed}"
    if description.folds:
        times = f" of {description.folds} folds"
        test = f", {data.sizes['test']} test" if "test" in data.sizes else ""
        sizes = f"{data.sizes['train']} in folds{test}"
    if groups := data.details.get("groups"):
        sizes += f"; {sum(groups.values()):,} groups, each in one part"
    data_text = f"{data.name}: {sizes}"
    origin = "found by tracing the builder"
    if description.declared:
        beside = [n for n in space.names if n not in description.declared]
        origin = f"declared, {len(beside)} of them by the builder" if beside else "declared"
    if description.objective_function:
        training = f"by {description.objective_function}(trial), seed {description.seed}"
        data_text = "its own: the objective function loads it"
        origin = origin.replace("tracing the builder", "running it up to its first fit")
    parameters = [line for p in space for line in wrapped(f"             {p!r}", indent=17)]
    notes = [f"script     {line}" for line in description.code.said]
    warnings = [f"warning    {warning}" for warning in warnings_of(description)]
    starts = [f"defaults   {_values_text(space.defaults())}"] if description.try_defaults else []
    starts += [f"start with {_values_text(values)}" for values in description.initial]
    starts += [f"           from {description.initial_from}"] if description.initial_from else []
    lines = [
        f"study      {description.name}",
        f"engine     {description.engine}, pruner {description.pruner}",
        f"objective  {objective.direction} {objective.metric}",
        f"trials     {description.trials}{times}, {training}",
        f"data       {data_text}",
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


def _values_text(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {printable_value(value)}" for name, value in values.items())


def _lines(facts: Iterable[Fact]) -> list[str]:
    return [f"{fact.name:<10} {fact.text}" for fact in facts]


def _checkpoint(history: StudyHistory, trial: EndedTrial) -> list[str]:
    if trial.result.unsaved:
        return all_wrapped([f"checkpoint none: {trial.result.unsaved}"])
    # A path stays on one line, so that people can copy it.
    return [f"checkpoint {printable_path(history.checkpoint(trial))}"]


def _top_trials(history: StudyHistory, count: int | None, curve: Curve) -> list[str]:
    """Returns a table of the champion and the best other trials.

    The table has a row for each trial. If the rows are too long for the terminal, it has a column
    for each trial instead. If `count` is None, there are five rows, or as many columns as fit.
    """
    columns = _columns(history, history.leading(count or 5), curve)
    if _fits(columns):
        return in_blocks(columns)
    return in_blocks([*zip(*columns, strict=True)], most=1 if count is None else None)


def _all_trials(history: StudyHistory, curve: Curve) -> list[str]:
    """Returns a table with a row for each trial, and columns for the hyperparameters that fit."""
    columns = _columns(history, history.trials, curve)
    count = len(columns) - len(history.description.space)
    while count < len(columns) and _fits(columns[: count + 1]):
        count += 1
    lines = in_blocks(columns[:count], most=1)
    if count < len(columns):
        more = counted(len(columns) - count, "more hyperparameter")
        lines += ["", f"{more}: see show --trial N, or --json"]
    return lines


def _columns(
    history: StudyHistory, trials: Sequence[TrialRecord], curve: Curve
) -> list[tuple[str, ...]]:
    """Returns the columns of a table that has a row for each trial.

    Each column begins with its heading. If any trial has a learning curve, there is a column with
    the curves.
    """
    heading, rows = trial_rows(history, trials)
    columns = [*zip(heading, *rows, strict=True)]
    curves = [sparkline_if_curve([*curve(trial).values()], _CURVE) for trial in trials]
    if any(curves):
        columns.insert(heading.index("state") + 1, ("curve", *curves))
    return columns


def _fits(columns: Sequence[Sequence[str]]) -> bool:
    widths = [max(width(printable(cell)) for cell in column) + 2 for column in columns]
    return sum(widths) - 2 <= terminal_columns()


def trial_text(history: StudyHistory, trial: TrialRecord) -> str:
    """Returns a trial as text: its outcome, hyperparameters and epochs.

    At the end is the command that trains the trial again.
    """
    description, spec, epochs = history.description, trial.spec, history.curve(trial)
    metric = description.objective.metric
    lines = [f"trial      {trial.number} of {description.name}: {trial.state}"]
    if trial.number == description.default_trial:
        lines[0] += f"; it has {description.default_values}"
    if trial.value_text:
        lines.append(f"value      {trial.value_text}")
    curve = sparkline_if_curve([m[metric] for m in epochs.values() if metric in m], _LONG_CURVE)
    if curve:
        lines.append(f"curve      {curve}")
    limits = f"at most {counted(spec.epochs, 'epoch')}, batches of {spec.batch_size}, "
    if description.objective_function:
        limits = ""
    threads = counted(spec.threads, "thread")
    lines.append(f"engine     {description.engine}; seed {spec.seed}, {limits}{threads}")
    if spec.attempt > 1:
        lines.append(f"attempt    {spec.attempt}")
    if isinstance(trial, EndedTrial):
        lines += _trial_outcome(history, trial)
    declared = [name for name in description.space.names if name in spec.values]
    names = dict.fromkeys([*declared, *spec.values])
    lines += ["", *(f"{name} = {printable_value(spec.values[name])}" for name in names)]
    text = all_wrapped(lines)
    if epochs:
        text += ["", *_epochs(trial, epochs)]
    if isinstance(trial, EndedTrial) and trial.best is not None:
        checkpoint = history.checkpoint(trial)
        again = reproduce_command(history, trial.number)
        text += ["", *([f"checkpoint {printable_path(checkpoint)}"] if checkpoint else [])]
        # An interrupted trial can't be reproduced. The next launch resumes it.
        text += [] if trial.state == "interrupted" else [f"reproduce: {again}"]
    return "\n".join(text)


def _trial_outcome(history: StudyHistory, trial: EndedTrial) -> list[str]:
    result, lines = trial.result, []
    if result.reason:
        lines.append(f"reason     {result.reason}")
    how = f" {trainer_text(result.trainer, result.trainer_reason)}" if result.trainer else ""
    epochs = f"{counted(result.epochs_in_all, 'epoch')} " if result.epochs_in_all else ""
    lines.append(f"trained    {epochs}in {duration(result.seconds)}{how}")
    lines += _trainings(result)
    if trial.whole is not None:
        lines.append(f"champion   trained on all folds together, {trial.whole.epochs} epochs")
    if result.unsaved:
        lines.append(f"checkpoint none: {result.unsaved}")
    lines += [
        f"noted      {key} = {printable_value(value)}" for key, value in result.user_attrs.items()
    ]
    if result.unscored:
        scores = "best epoch" if result.scores_bytes else "none"
        lines.append(f"scores     {scores}: {result.unscored}")
    if trial.verified:
        lines.append(f"checked    {in_words(trial.verified)}")
    if uri := history.model_uri(trial):
        lines.append(f"model      {uri}")
    return lines


def _trainings(result: TrialResult) -> list[str]:
    """Returns a line for each repeat or fold of a trial."""
    kind, first = ("fold", 1) if result.folds else ("repeat", 0)
    lines = []
    for number, fit in enumerate(result.repeats, start=first):
        # A fold's value is its objective at the epoch that is best for all folds together.
        has_other_best = fit.value is not None and fit.epochs > 1
        best = f", best {printable_value(fit.best.value)}" if has_other_best else ""
        at = f"{best} at epoch {fit.best.epoch}, seed {fit.seed}"
        lines.append(f"{f'{kind} {number}':<11}{printable_value(fit.counted)}{at}")
    return lines


def _epochs(trial: TrialRecord, epochs: dict[int, dict[str, float]]) -> list[str]:
    """Returns a table of the metrics by epoch. The best epoch is marked."""
    names = dict.fromkeys(name for metrics in epochs.values() for name in metrics)
    columns = [["epoch", *(f"{e} best" if e == trial.epoch else str(e) for e in epochs)]]
    for name in names:
        values = [printable_value(m[name]) if name in m else "-" for m in epochs.values()]
        columns.append([name, *values])
    return in_blocks(columns)


def study_document(history: StudyHistory) -> dict[str, Any]:
    """Returns a study as a JSON document."""
    # This import is here, because it loads numpy, which the other documents don't need.
    from tracking.diagnosis import answers

    description, best, champion = history.description, history.best, history.champion
    summary = summary_of(history)
    return {
        "study": description.name,
        "engine": description.engine,
        "pruner": description.pruner,
        "objective": {
            "metric": description.objective.metric,
            "direction": description.objective.direction,
        },
        "trials": {**history.counts(), "total": len(history.trials)},
        "unread": list(description.unread),
        "wanted": description.trials,
        "default_trial": description.default_trial,
        "reasons": [reason._asdict() for reason in reasons(history.trials)],
        "best": None if best is None else _trial_document(history, best),
        "champion": None
        if champion is None
        else {**_short_trial_document(champion), "promoted": history.promoted or None},
        "verdict": _verdict_document(summary.verdict),
        "facts": [fact._asdict() for fact in summary.facts],
        "next": [command.text for command in summary.commands],
        "answers": dict(answers(history)),
        "top": [_short_trial_document(trial) for trial in history.top(10)],
        "all": [_short_trial_document(trial) for trial in history.trials],
        "status": history.status,
        "ended_by": history.ended_by or None,
        "stopped": history.stopped or None,
        "objective_function": description.objective_function or None,
        "data": {
            "name": description.data.name,
            "digest": description.data.digest,
            "streams": description.data.details.get("streams"),
        },
        "class_weight": description.class_weight,
        "store": str(history.store.root),
        "tracking_uri": history.store.mlflow_uri,
        "server": history.server or None,
        "folder": str(history.folder),
    }


def _verdict_document(verdict: StudyVerdict) -> dict[str, Any]:
    corrected, expected = verdict.corrected, verdict.expected
    return {
        "text": verdict.text,
        "expected": None if expected is None else dataclasses.asdict(expected),
        "rests_on": list(verdict.grounds),
        "reported": verdict.reported,
        "corrected": None if corrected is None else dataclasses.asdict(corrected),
        "unknown": verdict.unknown or None,
        "confirmations": [dataclasses.asdict(record) for record in verdict.confirmations],
    }


def _trial_document(history: StudyHistory, trial: TrialRecord) -> dict[str, Any]:
    """Returns a trial as a JSON document, without the metrics of its epochs."""
    document = {
        **_short_trial_document(trial),
        "seed": trial.spec.seed,
        "data_digest": trial.spec.data_digest or None,
        "verified": trial.verified or None,
        "uuid": trial.uuid,
    }
    if not isinstance(trial, EndedTrial):
        return document
    checkpoint, result = history.checkpoint(trial), trial.result
    return {
        **document,
        "class_weight": trial.class_weight,
        "epochs": result.epochs,
        "metrics": None if trial.best is None else dict(trial.best.metrics),
        "spread": result.spread,
        "repeats": [dataclasses.asdict(repeat) for repeat in result.repeats],
        "on_all_folds": None if trial.whole is None else dataclasses.asdict(trial.whole),
        "trainer": result.trainer,
        "trainer_reason": result.trainer_reason,
        "weights_sha256": result.weights_sha256,
        "checkpoint": None if checkpoint is None else str(checkpoint),
        "unsaved": result.unsaved or None,
        "user_attrs": dict(result.user_attrs),
        "model_uri": history.model_uri(trial),
    }


def full_trial_document(history: StudyHistory, trial: TrialRecord) -> dict[str, Any]:
    """Returns a trial as a JSON document, with the metrics of each epoch."""
    return {
        "study": history.description.name,
        "engine": history.description.engine,
        **_trial_document(history, trial),
        "curve": [{"epoch": epoch, **metrics} for epoch, metrics in history.curve(trial).items()],
    }


def model_document(history: StudyHistory) -> dict[str, str]:
    """Returns the champion's `model.summary()` as a JSON document.

    Raises:
        StudyError: If the study has no champion, or its model has no summary.
    """
    name, summary = history.description.name, read_model_summary(history)
    if history.registered is None:
        register = f"Register one: {study_command(history, 'promote')}"
        raise StudyError(f"The study {name!r} has no champion. {register}")
    if not summary:
        raise StudyError(f"The champion of {name!r} was saved without a summary: Keras made none.")
    return {"champion": dict(summary_of(history).search)["champion"], "summary": summary}


def _short_trial_document(trial: TrialRecord) -> dict[str, Any]:
    result, best = trial.result, trial.best
    return {
        "trial": trial.number,
        "state": trial.state,
        "value": None if best is None else best.value,
        "epoch": trial.epoch,
        "reason": None if result is None else result.reason or None,
        "params": dict(trial.spec.values),
    }


def definition_document(description: StudyDescription) -> dict[str, Any]:
    """Returns the JSON document of `launch --dry-run`: the definition and its warnings."""
    from studies.launching import warnings_of

    fields = json.loads(to_json(description))
    data, code = fields.pop("data"), fields.pop("code")
    return {
        "study": fields.pop("name"),
        **{name: None if value == "" else value for name, value in fields.items()},
        "data": {**data, "streams": data["details"].get("streams")},
        "said": code["said"],
        "warnings": warnings_of(description),
    }
