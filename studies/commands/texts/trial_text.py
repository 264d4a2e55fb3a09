"""Writes a single trial as text, as ``kerastudy show --trial`` prints it."""

from __future__ import annotations

from search_spaces.texts import counted
from studies.terminal_text import all_wrapped, in_blocks, printable_path, printable_value
from tracking.history.learning_curves import sparkline_if_curve
from tracking.history.study_history import StudyHistory
from tracking.records import EndedTrial, TrialRecord, TrialResult
from tracking.records.verification_texts import in_words
from tracking.shell_commands import reproduce_command

_CURVE = 60


def trial_text(history: StudyHistory, trial: TrialRecord) -> str:
    """Returns a trial as text: its outcome, hyperparameters and epochs.

    At the end is the command that trains the trial again.
    """
    description, spec, epochs = history.description, trial.spec, history.curve(trial)
    metric = description.objective.metric
    lines = [f"trial      {trial.number} of {description.name}: {trial.state}"]
    if trial.number == description.default_trial:
        lines[0] += "; it has the defaults"
    if trial.best is not None:
        value = printable_value(trial.best.value)
        if isinstance(trial, EndedTrial) and trial.result.spread is not None:
            value += f" ± {trial.result.spread:.2g}"
        at = "" if trial.epoch is None else f" at epoch {trial.epoch}"
        lines.append(f"value      {metric} {value}{at}")
    curve = sparkline_if_curve([m[metric] for m in epochs.values() if metric in m], _CURVE)
    if curve:
        lines.append(f"curve      {curve}")
    limits = f"at most {counted(spec.epochs, 'epoch')}, batches of {spec.batch_size}, "
    if description.objective_function:
        limits = ""
    threads = counted(spec.threads, "thread")
    lines.append(f"engine     {description.engine}; seed {spec.seed}, {limits}{threads}")
    if spec.goes_on_from is not None:
        lines.append(f"continues  trial {spec.goes_on_from}, after epoch {spec.initial_epoch}")
    if spec.attempt > 1:
        again = "" if description.goes_on else ", from its first epoch: it can't be resumed"
        lines.append(f"attempt    {spec.attempt}{again}")
    if isinstance(trial, EndedTrial):
        lines += _outcome(history, trial)
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
    if not result.folds:
        return [
            f"repeat {number:<4}{printable_value(repeat.best.value)} at epoch {repeat.best.epoch}, "
            f"seed {repeat.seed}"
            for number, repeat in enumerate(result.repeats)
        ]
    return [
        f"fold {number:<6}{printable_value(fold.counted)}"
        + (
            ""
            if fold.value is None or fold.epochs == 1
            else f", best {printable_value(fold.best.value)}"
        )
        + f" at epoch {fold.best.epoch}, seed {fold.seed}"
        for number, fold in enumerate(result.repeats, start=1)
    ]


def _epochs(trial: TrialRecord, epochs: dict[int, dict[str, float]]) -> list[str]:
    """Returns a table of the metrics by epoch. The best epoch is marked."""
    names = dict.fromkeys(name for metrics in epochs.values() for name in metrics)
    columns = [["epoch", *(f"{e} best" if e == trial.epoch else str(e) for e in epochs)]]
    for name in names:
        values = [printable_value(m[name]) if name in m else "-" for m in epochs.values()]
        columns.append([name, *values])
    return in_blocks(columns)
