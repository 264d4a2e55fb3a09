"""Writes trials as text: several in a table, or a single trial in full."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from search_spaces.errors import StudyError
from search_spaces.texts import counted
from studies.commands.records import trial_document
from studies.commands.texts.tables import in_blocks, shown
from studies.terminal_text import all_wrapped, printable, terminal_columns, width
from tracking.history.commands import again_command
from tracking.history.study_history import StudyHistory
from tracking.history.trials import sparkline_if_curve
from tracking.history.verdicts import champion_sentences, study_verdict
from tracking.records import EndedTrial, TrialRecord, TrialResult
from tracking.records.verification_texts import in_words
from tracking.store.store_folder import default_store_path
from tracking.summary import trial_rows

if TYPE_CHECKING:
    from studies.engines import Curve

_LONG_CURVE, _SHORT_CURVE = 60, 10


def top_trials(history: StudyHistory, count: int | None, curve: Curve) -> list[str]:
    """Returns a table of the best trials, with a row for each, or a column if rows don't fit.

    By default, it has the best five. If these are columns, it has as many as fit.
    """
    trials = history.top(count or 5)
    rows = _rows(history, trials, curve)
    if _fits(rows):
        return in_blocks(_transposed(rows))
    return in_blocks(rows, most=1 if count is None else None)


def all_trials(history: StudyHistory, curve: Curve) -> list[str]:
    """Returns a table with a row for each trial. It has as many hyperparameters as fit."""
    columns = _transposed(_rows(history, history.trials, curve))
    names = len(history.description.space)
    fixed = fitting = len(columns) - names
    while fitting < len(columns) and _fits(_transposed(columns[: fitting + 1])):
        fitting += 1
    lines = in_blocks(columns[:fitting], most=1)
    left = names - (fitting - fixed)
    if left:
        more = counted(left, "more hyperparameter")
        lines += ["", f"{more}: see show --trial N, or --json"]
    return lines


def full_document(history: StudyHistory, trial: TrialRecord) -> dict[str, Any]:
    """Returns a trial as a JSON document, with the metrics of each epoch."""
    return {
        "study": history.description.name,
        "engine": history.description.engine,
        **trial_document(history, trial),
        "curve": [{"epoch": epoch, **metrics} for epoch, metrics in history.curve(trial).items()],
    }


def model_document(history: StudyHistory) -> dict[str, str]:
    """Returns the champion's `model.summary()` as a JSON document.

    Raises:
        StudyError: If the study has no champion, or its model has no summary.
    """
    # This import loads numpy, which a study's other texts do not need.
    from tracking.history.champions import read_model_summary

    name, summary = history.description.name, read_model_summary(history)
    if history.registered is None:
        register = f"Register one: kerastudy promote {shlex.quote(name)}"
        raise StudyError(f"The study {name!r} has no champion. {register}")
    if not summary:
        raise StudyError(f"The champion of {name!r} was saved without a summary: Keras made none.")
    whose = ". ".join(champion_sentences(history, study_verdict(history)))
    return {"champion": whose, "summary": summary}


def trial_text(history: StudyHistory, trial: TrialRecord) -> str:
    """Returns a trial as text: its outcome, hyperparameters, epochs, and the command to rerun."""
    spec, metric = trial.spec, history.description.objective.metric
    epochs = history.curve(trial)
    lines = [f"trial      {trial.number} of {history.description.name}: {trial.state}"]
    if trial.number == history.description.default_trial:
        lines[0] += "; it has the defaults"
    if trial.best is not None:
        value = shown(trial.best.value)
        if isinstance(trial, EndedTrial) and trial.result.spread is not None:
            value += f" ± {trial.result.spread:.2g}"
        at = "" if trial.epoch is None else f" at epoch {trial.epoch}"
        lines.append(f"value      {metric} {value}{at}")
    drawn = sparkline_if_curve([m[metric] for m in epochs.values() if metric in m], _LONG_CURVE)
    if drawn:
        lines.append(f"curve      {drawn}")
    limits = f"at most {spec.epochs} epochs, batches of {spec.batch_size}, "
    if history.description.objective_function:
        limits = ""
    lines.append(
        f"engine     {history.description.engine}; seed {spec.seed}, {limits}"
        f"{counted(spec.threads, 'thread')}"
    )
    if spec.goes_on_from is not None:
        lines.append(f"continues  trial {spec.goes_on_from}, after epoch {spec.initial_epoch}")
    if spec.attempt > 1:
        again = "" if history.description.goes_on else ", from its first epoch: it can't be resumed"
        lines.append(f"attempt    {spec.attempt}{again}")
    if isinstance(trial, EndedTrial):
        lines += _outcome(history, trial)
    declared = [name for name in history.description.space.names if name in spec.values]
    names = dict.fromkeys([*declared, *spec.values])
    lines += ["", *(f"{name} = {shown(spec.values[name])}" for name in names)]
    text = all_wrapped(lines)
    if epochs:
        text += ["", *_epochs(trial, epochs)]
    if isinstance(trial, EndedTrial) and trial.best is not None:
        checkpoint = history.checkpoint(trial)
        again = again_command(history, trial, default_store_path().absolute())
        text += ["", *([f"checkpoint {printable(str(checkpoint))}"] if checkpoint else [])]
        # An interrupted trial can't be reproduced. The next launch resumes it.
        text += [] if trial.state == "interrupted" else [f"reproduce: {again}"]
    return "\n".join(text)


def _rows(history: StudyHistory, trials: Sequence[TrialRecord], curve: Curve) -> list[list[str]]:
    """Returns a heading, and a row for each trial. A column shows curves if there are any."""
    heading, rows = trial_rows(history, trials)
    curves = [sparkline_if_curve([*curve(trial).values()], _SHORT_CURVE) for trial in trials]
    if any(curves):
        for row, drawn in zip([heading, *rows], ["curve", *curves], strict=True):
            row.insert(4, drawn)
    return [[printable(cell) for cell in row] for row in (heading, *rows)]


def _transposed(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _fits(rows: Sequence[Sequence[str]]) -> bool:
    widths = [max(map(width, column)) for column in zip(*rows, strict=True)]
    return sum(widths) + 2 * (len(widths) - 1) <= terminal_columns()


def _outcome(history: StudyHistory, trial: EndedTrial) -> list[str]:
    result, lines = trial.result, []
    if result.reason:
        lines.append(f"reason     {result.reason}")
    trained = f" by {result.trainer}" if result.trainer else ""
    why = f" ({result.trainer_reason})" if result.trainer_reason else ""
    epochs = counted(result.fits_epochs or result.epochs, "epoch")
    lines.append(f"trained    {epochs} in {result.seconds:.1f} s{trained}{why}")
    if result.peak_memory_bytes:
        lines.append(f"memory     {result.peak_memory_bytes / 2**30:.2f} GiB at its peak")
    lines += _trainings(result)
    if trial.whole is not None:
        lines.append(f"champion   trained on all folds together, {trial.whole.epochs} epochs")
    if result.unsaved:
        lines.append(f"checkpoint none: {result.unsaved}")
    lines += [f"noted      {key} = {shown(value)}" for key, value in result.user_attrs.items()]
    if result.unscored:
        which = "best epoch" if result.scores_bytes else "none"
        lines.append(f"scores     {which}: {result.unscored}")
    if trial.verified:
        lines.append(f"checked    {in_words(trial.verified)}")
    if uri := history.model_uri(trial):
        lines.append(f"model      {uri}")
    return lines


def _trainings(result: TrialResult) -> list[str]:
    """Returns a line for each repeat or fold."""
    if not result.folds:
        return [
            f"repeat {number:<4}{shown(repeat.best.value)} at epoch {repeat.best.epoch}, "
            f"seed {repeat.seed}"
            for number, repeat in enumerate(result.repeats)
        ]
    return [
        f"fold {number:<6}{shown(fold.counted)}"
        + ("" if fold.value is None or fold.epochs == 1 else f", best {shown(fold.best.value)}")
        + f" at epoch {fold.best.epoch}, seed {fold.seed}"
        for number, fold in enumerate(result.repeats, start=1)
    ]


def _epochs(trial: TrialRecord, epochs: dict[int, dict[str, float]]) -> list[str]:
    """Returns a table of the metrics of each epoch. The best epoch is marked."""
    best = trial.epoch
    names = dict.fromkeys(name for metrics in epochs.values() for name in metrics)
    numbers = [f"{epoch}{' best' if epoch == best else ''}" for epoch in epochs]
    columns = [["epoch", *numbers]]
    for name in names:
        cells = [shown(m[name]) if name in m else "-" for m in epochs.values()]
        columns.append([printable(name), *cells])
    return in_blocks(columns)
