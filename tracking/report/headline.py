"""The verdict on a study: what was asked and found, how far to trust it, what to do next."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tracking.history.evaluations import read_evaluations
from tracking.history.summary import confirm_command
from tracking.history.verdicts import champion_sentences
from tracking.records import EndedTrial
from tracking.records.checks import (
    IDENTICAL,
    REPRODUCED,
    TRAINED_BY_ITSELF,
    differs,
    is_reproduction,
)
from tracking.report.formats import count, duration, number, value_text
from tracking.report.trial_data import StudyData
from tracking.runs import commands
from tracking.runs.commands import shell_command


@dataclass(frozen=True)
class Verdict:
    """A study's outcome in words.

    Attributes:
        asked: The question, in sentences.
        found: The answer, in one sentence.
        answers: What each scientific hyperparameter does, in a sentence each.
        believe: How much of the best value to believe, in one line; or empty.
        params: The best trial's hyperparameters, as texts by name.
        trust: How far to trust the value: a heading and sentences each.
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
    """Returns the verdict on a study.

    Args:
        data: The study.
        without: A store's folder that commands need not name.
    """
    best = data.ranked[0] if data.ranked else None
    metric = data.history.description.objective.metric
    if best is None or best.value is None:
        found = "No trial has a value yet."
    else:
        at = f" at epoch {best.epoch} of {best.result.epochs}"
        found = f"Trial {best.number} reached {metric} {number(best.value)}"
        found += "." if best.result.of_no_epoch else f"{at}."
    names = data.history.description.space.names
    params = (
        ()
        if best is None
        else tuple((name, value_text(best.params[name])) for name in names if name in best.params)
    )
    return Verdict(
        _asked(data),
        found,
        tuple(f.verdict for f in data.diagnosis.findings if f.check == "isolation"),
        "" if best is None else data.verdict.text,
        params,
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
        f"Which values of {count(len(data.axes), 'hyperparameter')} give the {way} "
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
    told = ", ".join(f"{n:,} {name}" for name, n in ended.items() if n)
    kinds = [("Trials", f"{count(counts['total'], 'trial')}: {told or 'none has ended'}.")]
    running = counts["running"] + counts["interrupted"]
    if running:
        kinds.append(("Not finished", f"{count(running, 'trial')} still to end; see the table."))
    contradicted = sum(not trial.holds for trial in history.trials)
    if contradicted:
        kinds.append(
            (
                "Contradicted",
                f"model.fit gets another result for {count(contradicted, 'trial')}: left out.",
            )
        )
    if best is None or best.value is None:
        return kinds
    kinds.insert(0, ("Choice", _selection(data)))
    champion = champion_sentences(history, data.verdict)
    if champion:
        kinds.append(("Champion", f"{'. '.join(champion).rstrip('.')}."))
    kinds.append(("Verified", _verified(best)))
    spread = best.result.spread
    if spread is not None:
        kinds.append(
            (
                "Spread",
                f"± {number(spread, 2)} over {len(best.result.repeats)} "
                f"{'folds' if best.result.folds else 'seeds'} of the best trial.",
            )
        )
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
        return f"Read {count(len(readings), 'time')}, the last time by trial {last.trial}."
    interval = ""
    if measured.low is not None and measured.high is not None:
        interval = f" (95 % interval {number(measured.low)} to {number(measured.high)})"
    return (
        f"{name} {number(measured.value)}{interval} by trial {last.trial}; read "
        f"{count(len(readings), 'time')}."
    )


def _selection(data: StudyData) -> str:
    """Returns what the expected value rests on."""
    values = f"The best of {count(len(data.ranked), 'value')}"
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
    found = [
        f"{each.title}. {each.advice}".rstrip()
        for each in data.diagnosis.findings
        if each.severity != "ok"
    ]
    if best is None:
        return found or ["Launch it: no trial has ended."]
    return found or ["Nothing in the record asks for more."]


def _commands(
    data: StudyData, best: EndedTrial | None, without: Path | None
) -> list[tuple[str, str]]:
    history = data.history
    store, several = _where(data, without)
    found = []
    if data.diagnosis.command:
        found.append(("Launch what should follow", data.diagnosis.command))
    if best is not None and not best.verified.startswith(REPRODUCED):
        again = str(best.number).join(reproduce_command(data, without))
        how = "Train the best trial again, by plain model.fit, and compare"
        if history.description.objective_function:
            how = "Run the best trial again, and compare"
        found.append((how, again))
    if best is not None:
        command = confirm_command(history, data.verdict, without)
        on = "" if history.description.objective_function else " and on the test part"
        found += [(f"Confirm the choice, under new seeds{on}", command)] if command else []
    has_test = history.description.data.sizes.get("test") and not data.verdict.is_confirmed
    if history.champion_run_id and has_test:
        command = shell_command("evaluate", history.description, store=store, several=several)
        found.append(("Read the sealed test part with the champion", command))
    if several:
        # The one of this page first.
        names = dict.fromkeys((history.description.engine, *history.engines))
        options = " ".join(f"--engine {shlex.quote(name)}" for name in names)
        command = shell_command("report", history.description, options, store=store)
        found.append((f"Compare it with {_listed([*names][1:])}, side by side", command))
    command = shell_command("ui", history.description, store=store, several=several)
    return [*found, ("Look at it in the MLflow UI", command)]


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def reproduce_command(data: StudyData, without: Path | None = None) -> tuple[str, str]:
    """Returns what stands before and after a trial's number in the command that reproduces it."""
    store, several = _where(data, without)
    command = commands.reproduce_command(data.history.description, "\0", store, several=several)
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
