"""A study as text: what was found, the verdict first; or its plan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from search_spaces.texts import amounts, counted
from studies.commands.texts.tables import spelled
from studies.commands.texts.trial_text import all_trials, top_trials
from studies.engines import Curve
from studies.lines import all_wrapped, printable, wrapped
from studies.running.definitions import warnings_of
from studies.running.trials import ValidationParts
from tracking.history.commands import confirm_command, shell_commands
from tracking.history.study_history import StudyHistory
from tracking.history.trials import RecordedCurves, reasons, sparkline_if_curve
from tracking.history.verdicts import StudyVerdict, champion_sentences, study_verdict
from tracking.records import EndedTrial, StudyDescription
from tracking.records.studies import ANY_HARDWARE, DIFFERENT_HARDWARE
from tracking.store.folder import default_store_path

_REASONS_SHOWN = 5
_CURVE = 30
_FOLDS_SHOWN = 10
_CLASSES_SHOWN = 10


def study_text(
    history: StudyHistory,
    *,
    curve: Curve | None = None,
    verdict: StudyVerdict | None = None,
    top: int | None = None,
    every: bool = False,
) -> str:
    """Returns a study as text: the verdict, its trials, its definition, and what to do next.

    A launch knows curves and the verdict already. Shown are so many of the `top` trials, by default
    as many of five as fit next to each other; or `every` trial.
    """
    best = history.best
    if curve is None:
        curve = RecordedCurves(history.folder, history.trials if every else history.top(top or 5))
    verdict = verdict or study_verdict(history)
    outcome = _outcome(history, curve, verdict)
    lines = all_wrapped([*outcome, *_reasons(history), *_notes(history)])
    if every and history.trials:
        lines += ["", *all_trials(history, curve)]
    elif best is not None:
        lines += ["", *top_trials(history, top, curve)]
    lines += ["", *all_wrapped(_definition(history))]
    if best is None:
        return "\n".join(lines)
    lines += all_wrapped([f"trainer    {_trainers(history)}"])
    lines += [*_checkpoint(history, best), ""]
    usual = default_store_path().absolute()
    look, report, again = shell_commands(history, best, without=usual)
    lines += [f"look:      {look}", f"report:    {report}", f"reproduce: {again}"]
    confirm = confirm_command(history, verdict, without=usual)
    if confirm:
        lines.append(f"confirm:   {confirm}")
    return "\n".join(lines)


def verdict_text(history: StudyHistory) -> str:
    """Returns the outcome of a study in a few lines."""
    curve = RecordedCurves(history.folder, history.top(1))
    outcome = _outcome(history, curve, study_verdict(history))
    return "\n".join(all_wrapped([*outcome, *_reasons(history)]))


def definition_text(description: StudyDescription) -> str:
    """Returns the plan of a study as text."""
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
    shown = f"{data.name}: {sizes}{', by default' if data.made_by else ''}"
    found = "found by tracing the builder"
    if description.declared:
        beside = [n for n in description.space.names if n not in description.declared]
        found = f"declared, {len(beside)} of them by the builder" if beside else "declared"
    if description.objective_function:
        trained = f"by {description.objective_function}(trial), seed {description.seed}"
        shown = "its own: the objective function loads it"
        found = found.replace("tracing the builder", "running it up to its first fit")
    parameters = [
        line for each in description.space for line in wrapped(f"             {each!r}", indent=17)
    ]
    said = [f"script     {line}" for line in description.code.said]
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
        *_folds(description),
        *_data(description),
        *starts,
        f"space      {len(description.space)} hyperparameters, {found}",
    ]
    told = [*said, *warnings, "nothing was trained or written"]
    return "\n".join([*all_wrapped(lines), *parameters, *all_wrapped(told)])


def _outcome(history: StudyHistory, curve: Curve, verdict: StudyVerdict) -> list[str]:
    """Returns what was found, how far to trust it, and how far the study is."""
    description, best = history.description, history.best
    lines = [f"study      {description.name}"]
    if best is None or best.best is None:
        lines.append("best       no trial has a value yet")
    else:
        metric = description.objective.metric
        drawn = sparkline_if_curve([*curve(best).values()], _CURVE)
        lines.append(
            f"best       trial {best.number}{_whose(history)}{_which(history, best)}: "
            f"{metric} {best.best.value:.6g} {_how(best)}".rstrip()
            + (drawn and f"  {drawn}")
        )
        if best.result.reason:
            lines.append(f"           it ended early: {best.result.reason}")
        lines.append(f"verdict    {verdict.text}")
        lines += [f"           {sentence}" for sentence in verdict.grounds]
        if any(each.role == "scientific" for each in description.space):
            # It imports numpy.
            from tracking.diagnosis.value_checks import answers

            lines += [f"answer     {sentence}" for sentence in answers(history).values()]
        lines += _model(history, best, verdict)
    lines.append(
        f"trials     {len(history.trials)} of {description.trials}: "
        f"{amounts(history.counts()) or 'none yet'}"
    )
    if history.stopped and history.ended_by != "trials":
        lines.append(f"ended      {history.stopped}")
    return lines


def _reasons(history: StudyHistory) -> list[str]:
    """Returns why trials are infeasible, or ended early, the most frequent reasons first."""
    found = reasons(history.trials)
    lines = [
        f"{kind:<10} {counted(len(trials), 'trial')}: {text}"
        for kind, text, trials in found[:_REASONS_SHOWN]
    ]
    if len(found) > _REASONS_SHOWN:
        lines.append(f"           and {len(found) - _REASONS_SHOWN} more reasons: see --json")
    return lines


def _notes(history: StudyHistory) -> list[str]:
    """Returns what to know when reading the trials."""
    description, lines = history.description, []
    if history.superseded:
        lines.append(f"superseded {history.superseded} infeasible, trained again since")
    parts = ValidationParts(history.trials).count
    if parts > 1:
        lines.append(
            f"validated  on {parts} different sets of samples: values of trials do not compare"
        )
    default = history.default
    if default is not None and default.best is not None and default is not history.best:
        value = f"{description.objective.metric} {default.best.value:.6g} {_how(default)}"
        lines.append(f"defaults   trial {default.number}: {value.rstrip()}")
    if description.unread:
        lines.append(f"never read {', '.join(description.unread)}: changes nothing")
    others = [e for e in history.engines if e != description.engine]
    if others:
        lines.append(f"also by    {', '.join(others)} (see --engine)")
    return lines


def _definition(history: StudyHistory) -> list[str]:
    description = history.description
    lines = [
        f"engine     {description.engine}, pruner {description.pruner}",
        f"objective  {description.objective.direction} {description.objective.metric}",
        *_folds(description),
        *_data(description),
    ]
    if description.hardware == ANY_HARDWARE:
        lines.append(f"hardware   {DIFFERENT_HARDWARE}")
    return [*lines, f"also at    {history.server}"] if history.server else lines


def _checkpoint(history: StudyHistory, trial: EndedTrial) -> list[str]:
    if trial.result.unsaved:
        return all_wrapped([f"checkpoint none: {trial.result.unsaved}"])
    # On one line, to copy it.
    return [f"checkpoint {printable(str(history.checkpoint(trial) or 'not kept'))}"]


def _trainers(history: StudyHistory) -> str:
    """Returns which trainers trained the trials, and why some were not compiled."""
    used = Counter(
        (trial.result.trainer, trial.result.trainer_reason)
        for trial in history.ended
        if trial.result.trainer
    )
    return "; ".join(
        f"{name} for {count} of {used.total()} trials" + (f" ({reason})" if reason else "")
        for (name, reason), count in used.most_common()
    )


def _model(history: StudyHistory, best: EndedTrial, verdict: StudyVerdict) -> Iterator[str]:
    """Yields which trial is registered, and how that and the best were verified."""
    first, *more = champion_sentences(history, verdict) or ("not registered",)
    yield f"model      {first}"
    yield from (f"           {sentence}" for sentence in more)
    champion = history.champion or best
    for trial in (best, champion) if champion is not best else (best,):
        whose = "" if champion is best else f"trial {trial.number}: "
        if trial.verified:
            yield f"verified   {whose}{trial.verified}"


def _whose(history: StudyHistory) -> str:
    """Returns which engine proposed the best trial, if there are several."""
    return f" of {history.description.engine}" if len(history.engines) > 1 else ""


def _which(history: StudyHistory, best: EndedTrial) -> str:
    return ", the defaults" if best.number == history.description.default_trial else ""


def _how(trial: EndedTrial) -> str:
    assert trial.best is not None
    if trial.result.of_no_epoch:
        return ""
    if trial.result.trainer == "objective":
        return f"at epoch {trial.best.epoch} of {trial.result.epochs}"
    if not trial.result.repeats:
        pruned = f", pruned at {trial.result.epochs}" if trial.state == "pruned" else ""
        return f"at epoch {trial.best.epoch}{pruned} of {trial.spec.epochs}"
    spread = trial.result.spread
    values = ", ".join(f"{repeat.counted:.6g}" for repeat in trial.result.repeats)
    plus_minus = "" if spread is None else f"± {spread:.2g}, "
    if not trial.result.folds:
        return f"{plus_minus}the mean of {values}"
    at = f"at epoch {trial.best.epoch} of {trial.spec.epochs}"
    if trial.result.folds > _FOLDS_SHOWN:
        return f"{plus_minus}{at}, the mean of {trial.result.folds} folds"
    return f"{plus_minus}{at}, the mean of the folds' {values}"


def _folds(description: StudyDescription) -> list[str]:
    """Returns how the data of a cross-validated study is split."""
    if not description.folds:
        return []
    how = description.cross_validation
    drawn = "" if how.isdigit() else f", by {how}"
    return [f"folds      {description.folds} for each trial{drawn}"]


def _data(description: StudyDescription) -> list[str]:
    """Returns lines on data that is made for each trial, comes in batches, or is weighted."""
    made_by = description.data.made_by
    return [
        *([f"made by    {made_by}(hp), for each trial of its own"] if made_by else []),
        *_streams(description),
        *_class_weight(description),
    ]


def _streams(description: StudyDescription) -> list[str]:
    """Returns the kind of data that is read batch by batch, and what its digest covers."""
    streams = description.data.details.get("streams") or {}
    return [
        f"{part:<10} by {stream['kind']}; digest of {stream['digest_of']}"
        + ("" if stream["same_each_time"] else "; not the same each time that it is read")
        for part, stream in streams.items()
    ]


def _class_weight(description: StudyDescription) -> list[str]:
    """Returns the class weights, if there are any."""
    if description.class_weight is None:
        return []
    weights = [f"{label}: {weight:g}" for label, weight in description.class_weight.items()]
    more = f" and {len(weights) - _CLASSES_SHOWN} more" if len(weights) > _CLASSES_SHOWN else ""
    return [f"weights    of classes {', '.join(weights[:_CLASSES_SHOWN])}{more}; of others 1"]
