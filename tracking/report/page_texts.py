"""The words of a study's page: its verdict and what to do next, its trials, the small print."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tracking.history.confirmations import read_evaluations
from tracking.history.summary import confirm_command
from tracking.history.trials import reasons
from tracking.history.verdicts import champion_sentences
from tracking.records import EndedTrial, TrialRecord
from tracking.records.studies import ANY_HARDWARE, DIFFERENT_HARDWARE
from tracking.records.verified import (
    IDENTICAL,
    REPRODUCED,
    TRAINED_BY_ITSELF,
    differs,
    is_reproduction,
)
from tracking.report.axes import value_text
from tracking.report.trial_data import StudyData
from tracking.runs.pages import commands as shell
from tracking.runs.pages.commands import shell_command
from tracking.texts import counted, duration, number

_GAP, _EPOCHS = "gap", "epochs trained"
_NUMBERS_SHOWN = 12


@dataclass(frozen=True)
class Verdict:
    """A study's outcome in words.

    Attributes:
        asked: The question, in sentences.
        found: The answer, in one sentence.
        answers: What each scientific hyperparameter does, in a sentence each.
        believe: How much of the best value to believe, in one line; or empty.
        params: The best trial's hyperparameters, as texts by name.
        trust: How far to trust the value: headings with sentences.
        following: What to do next, in sentences.
        commands: What each command does, and the command.
    """

    asked: tuple[str, ...]
    found: str
    answers: tuple[str, ...]
    believe: str
    params: tuple[tuple[str, str], ...]
    trust: tuple[tuple[str, str], ...]
    following: tuple[str, ...]
    commands: tuple[tuple[str, str], ...]


def verdict(data: StudyData, without: Path | None = None) -> Verdict:
    """Returns the verdict on a study; commands need not name the store's folder `without`."""
    best = data.ranked[0] if data.ranked else None
    metric = data.history.description.objective.metric
    if best is None or best.value is None:
        found = "No trial has a value yet."
    else:
        at = f" at epoch {best.epoch} of {best.result.epochs}"
        found = f"Trial {best.number} reached {metric} {number(best.value)}"
        found += "." if best.result.of_no_epoch else f"{at}."
    names = data.history.description.space.names
    values = {} if best is None else best.params
    return Verdict(
        _asked(data),
        found,
        tuple(f.verdict for f in data.diagnosis.findings if f.check == "isolation"),
        "" if best is None else data.verdict.text,
        tuple((name, value_text(values[name])) for name in names if name in values),
        tuple(_trust(data, best)),
        tuple(_following(data, best)),
        tuple(_commands(data, best, without)),
    )


def _asked(data: StudyData) -> tuple[str, ...]:
    description = data.history.description
    sizes, objective = description.data.sizes, description.objective
    way = "highest" if objective.direction == "max" else "lowest"
    samples = ", ".join(
        f"{sizes[part]:,} {name}"
        for part, name in (("train", "for training"), ("validation", "for validation"))
        if part in sizes
    )
    if description.folds:
        samples = f"{sizes['train']:,} samples in {description.folds} folds"
    on = f"on {description.data.name}" + (f" ({samples})?" if samples else "?")
    question = (
        f"Which values of {counted(len(data.axes), 'hyperparameter')} give the {way} "
        f"{objective.metric} {on}"
    )
    if not data.axes:
        question = f"Nothing varies: which {objective.metric} is reached {on}"
    return (question, *([description.notes] if description.notes else []))


def _trust(data: StudyData, best: EndedTrial | None) -> list[tuple[str, str]]:
    """Returns what speaks for and against the best value."""
    history = data.history
    counts = history.counts()
    ended = {name: counts[name] for name in ("complete", "pruned", "infeasible")}
    states = ", ".join(f"{n:,} {name}" for name, n in ended.items() if n)
    kinds = [("Trials", f"{counted(counts['total'], 'trial')}: {states or 'none has ended'}.")]
    running = counts["running"] + counts["interrupted"]
    if running:
        kinds.append(("Not finished", f"{counted(running, 'trial')} still to end; see the table."))
    contradicted = sum(not trial.holds for trial in history.trials)
    if contradicted:
        left_out = f"model.fit gets another result for {counted(contradicted, 'trial')}: left out."
        kinds.append(("Contradicted", left_out))
    if best is None or best.value is None:
        return kinds
    kinds.insert(0, ("Choice", _selection(data)))
    champion = champion_sentences(history, data.verdict)
    if champion:
        kinds.append(("Champion", f"{'. '.join(champion).rstrip('.')}."))
    kinds.append(("Verified", _verified(best)))
    spread = best.result.spread
    if spread is not None:
        over = f"{len(best.result.repeats)} {'folds' if best.result.folds else 'seeds'}"
        kinds.append(("Spread", f"± {number(spread, 2)} over {over} of the best trial."))
    if data.verdict.confirmation is None:
        not_yet = "Not yet: the best trials were not trained again under new seeds."
        kinds.append(("Confirmed", not_yet))
    return [*kinds, ("Test part", _on_test(data))]


def _on_test(data: StudyData) -> str:
    """Returns what was read of the sealed test part."""
    history = data.history
    if "test" not in history.description.data.digests:
        known = not history.description.objective_function or history.description.data.digests
        return "The data has none." if known else "Unknown: the objective function loads its data."
    readings = read_evaluations(history)
    if not readings:
        return "Sealed: not read yet."
    last = readings[-1]
    name = history.description.objective.metric.removeprefix("val_")
    measured = last.metrics.get(name)
    if measured is None:
        return f"Read {counted(len(readings), 'time')}, the last time by trial {last.trial}."
    interval = ""
    if measured.low is not None and measured.high is not None:
        interval = f" (95 % interval {number(measured.low)} to {number(measured.high)})"
    return (
        f"{name} {number(measured.value)}{interval} by trial {last.trial}; read "
        f"{counted(len(readings), 'time')}."
    )


def _selection(data: StudyData) -> str:
    """Returns what the expected value rests on."""
    values = f"The best of {counted(len(data.ranked), 'value')}"
    if data.history.description.objective_function:
        # What it measures, and on which data, is its own affair.
        values += ", as its objective function returned them."
    else:
        values += " measured on the same validation samples."
    return " ".join(data.verdict.grounds) or values


def _verified(best: EndedTrial) -> str:
    text = best.verified
    if best.result.of_no_epoch:
        return "Nothing to compare: its objective function does everything itself."
    if text.startswith(REPRODUCED):
        return f"Yes: {text}."
    if text == IDENTICAL:
        return "Yes: plain model.fit trained it again to the same bits."
    if text.startswith(IDENTICAL):
        return f"In part: model.fit was{text.removeprefix('model.fit,')}."
    if text in TRAINED_BY_ITSELF:
        return "Nothing to compare: it was trained by fit itself."
    if differs(text) or is_reproduction(text):
        return f"No: {text}."
    return f"Not compared with model.fit{': ' + text if text and text != 'off' else ''}."


def _following(data: StudyData, best: EndedTrial | None) -> list[str]:
    """Returns what the record suggests to do next: what its diagnosis found."""
    asks = [
        f"{each.title}. {each.advice}".rstrip()
        for each in data.diagnosis.findings
        if each.severity != "ok"
    ]
    none = (
        "Launch it: no trial has ended." if best is None else "Nothing in the record asks for more."
    )
    return asks or [none]


def _commands(
    data: StudyData, best: EndedTrial | None, without: Path | None
) -> list[tuple[str, str]]:
    history = data.history
    store, several = _where(data, without)
    commands = []
    if data.diagnosis.command:
        commands.append(("Launch what should follow", data.diagnosis.command))
    if best is not None and not best.verified.startswith(REPRODUCED):
        again = str(best.number).join(reproduce_command(data, without))
        how = "Train the best trial again, by plain model.fit, and compare"
        if history.description.objective_function:
            how = "Run the best trial again, and compare"
        commands.append((how, again))
    if best is not None:
        command = confirm_command(history, data.verdict, without)
        on = "" if history.description.objective_function else " and on the test part"
        commands += [(f"Confirm the choice, under new seeds{on}", command)] if command else []
    has_test = history.description.data.sizes.get("test") and not data.verdict.is_confirmed
    if history.champion_run_id and has_test:
        command = shell_command("evaluate", history.description, store=store, several=several)
        commands.append(("Read the sealed test part with the champion", command))
    if several:
        # The one of this page first.
        names = dict.fromkeys((history.description.engine, *history.engines))
        options = " ".join(f"--engine {shlex.quote(name)}" for name in names)
        command = shell_command("report", history.description, options, store=store)
        commands.append((f"Compare it with {_listed([*names][1:])}, side by side", command))
    command = shell_command("ui", history.description, store=store, several=several)
    return [*commands, ("Look at it in the MLflow UI", command)]


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def reproduce_command(data: StudyData, without: Path | None = None) -> tuple[str, str]:
    """Returns what stands before and after a trial's number in the command that reproduces it."""
    store, several = _where(data, without)
    command = shell.reproduce_command(data.history.description, "\0", store, several=several)
    before, _, after = command.partition("\0")
    return before, after


def _where(data: StudyData, without: Path | None) -> tuple[Path | None, bool]:
    """Returns the store that commands must name, and whether they must name the engine."""
    root = data.history.store.root
    return None if root == without else root, len(data.history.engines) > 1


def facts(data: StudyData) -> list[tuple[str, str]]:
    """Returns the figures at the top of the page: a name and a figure each."""
    history = data.history
    ended = history.ended
    spent = math.fsum(trial.result.seconds for trial in ended)
    epochs = sum(t.result.epochs_in_all for t in ended if not t.result.of_no_epoch)
    return [
        ("Engine", history.description.engine),
        ("Pruner", history.description.pruner),
        ("Trials", f"{len(history.trials):,} of {history.description.trials:,}"),
        *([("Epochs", f"{epochs:,}")] if epochs else []),
        ("Training time", duration(spent)),
        ("Seed", str(history.description.seed)),
    ]


def table_columns(data: StudyData) -> list[str]:
    """Returns the names of the table's columns."""
    training = [data.training_metric, _GAP] if data.training_metric else []
    metric = data.history.description.objective.metric
    trials = data.history.trials
    epochs = ["best epoch"] if any(trial.epoch is not None for trial in trials) else []
    trained = [] if all(t.result and t.result.of_no_epoch for t in trials) else [_EPOCHS]
    why = ["reason"] if any(t.result and t.result.reason for t in trials) else []
    names = [axis.name for axis in data.axes]
    return ["trial", "state", metric, *training, *epochs, *trained, "time", *names, *why]


def table_rows(data: StudyData) -> Iterator[list[str]]:
    """Yields a row of texts for each trial, the best first; empty where there is nothing."""
    columns = table_columns(data)
    gaps = dict(zip(data.trials["trial"], data.trials["gap"], strict=True)) if data.trials else {}
    valued = {trial.number for trial in data.ranked}
    others = (trial for trial in data.history.trials if trial.number not in valued)
    for trial in (*data.ranked, *others):
        result, best = trial.result, trial.best
        which = ", defaults" if trial.number == data.history.description.default_trial else ""
        which += ", reproduced" if trial.verified.startswith(REPRODUCED) else ""
        row = [
            str(trial.number),
            (trial.state if trial.holds else "contradicted by model.fit") + which,
            "" if best is None else number(best.value, 5),
        ]
        if data.training_metric:
            value = None if best is None else best.metrics.get(data.training_metric)
            row.append("" if value is None else number(value, 5))
            gap = None if value is None else gaps[trial.number]
            row.append("" if gap is None else number(gap, 3))
        if "best epoch" in columns:
            row.append("" if trial.epoch is None else str(trial.epoch))
        if _EPOCHS in columns:
            row.append("" if result is None else str(result.epochs))
        row += [
            "" if result is None else duration(result.seconds),
            *(_value(trial, axis.name) for axis in data.axes),
        ]
        if columns[-1] == "reason":
            row.append("" if result is None else result.reason[:300])
        yield row


def _value(trial: TrialRecord, name: str) -> str:
    return value_text(trial.params[name]) if name in trial.params else ""


def details(data: StudyData) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """Returns the last sections of the page: a heading, a sentence, and texts by name."""
    description, trials = data.history.description, data.history.trials
    found, of_function = description.data, description.objective_function
    best = data.ranked[0] if data.ranked else None
    folds = found.details.get("folds", ())
    listed = {
        "Data set": f"{found.name} ({found.source})" if found.source else found.name,
        **{f"{part} samples": f"{size:,}" for part, size in found.sizes.items()},
        **{
            f"Fold {place}": f"{fold['train']:,} to train, {fold['validation']:,} to validate"
            for place, fold in enumerate(folds, start=1)
        },
        **{name: value for name, value in found.details.items() if name != "folds"},
        "SHA-256 of the data": found.digest,
        **{f"SHA-256 of {part}": digest for part, digest in found.digests.items()},
    }
    crossed = f"{description.folds} folds: {description.cross_validation}"
    defined = {
        "Objective": f"{description.objective.direction} {description.objective.metric}",
        "Engine": description.engine,
        "Pruner": description.pruner,
        "Trials": f"{description.trials:,}",
        "Cross-validation": crossed if description.folds else "",
        "Repeats": None if description.folds else description.repeats,
        "Objective function": of_function,
        "Epochs": None if of_function else description.epochs,
        "Batch size": None if of_function else description.batch_size,
        "Seed": description.seed,
        "Threads per trial": description.threads,
        "Hardware": DIFFERENT_HARDWARE
        if description.hardware == ANY_HARDWARE
        else description.hardware,
    }
    # A hyperparameter may have the name of a setting.
    space = [(parameter.name, repr(parameter)) for parameter in description.space]
    digests = {
        "Study file": description.code.path or "none",
        "SHA-256 of the code": description.code.digest or "none",
        "SHA-256 of the space": description.space.digest,
    }
    ran = {
        **{name: text for name, text in (trials[-1].environment if trials else {}).items() if text},
        **(
            {f"SHA-256 of trial {best.number}'s weights": best.result.weights_sha256}
            if best
            else {}
        ),
    }
    why = [
        (
            f"{each.kind}: {counted(len(each.trials), 'trial')}",
            f"{each.text} ({_numbers(each.trials)})",
        )
        for each in reasons(trials)
    ]
    parts = [
        ("Why trials ended early", "", why),
        ("Data", "", _told(listed)),
        ("Definition", "", [*_told(defined), *space, *_told(digests)]),
        ("Environment", "Of the trial that began last.", _told(ran)),
    ]
    return [part for part in parts if part[2]]


def _told(values: Mapping[str, object]) -> list[tuple[str, str]]:
    """Returns values as texts by name; what is missing is left out."""
    return [
        (name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
        for name, value in values.items()
        if value not in (None, "")
    ]


def _numbers(trials: tuple[int, ...]) -> str:
    shown = ", ".join(map(str, trials[:_NUMBERS_SHOWN]))
    more = len(trials) - _NUMBERS_SHOWN
    return f"trial {shown}" if more <= 0 else f"trial {shown} and {more} more"
