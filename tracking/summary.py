"""The summary of a study: the same facts, commands and best trials in all places that show it.

These places are the terminal, JSON documents, reports, MLflow and notebooks.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from search_spaces.texts import amounts, counted, duration, listed, number, readable
from tracking.history.commands import shell_command
from tracking.history.comparison import Reached, Standing
from tracking.history.study_history import StudyHistory
from tracking.history.trials import Reason, reasons, sparkline_if_curve
from tracking.history.verdicts import (
    StudyVerdict,
    champion_sentences,
    read_evaluations,
    study_verdict,
)
from tracking.records import StudyDescription, TrialRecord, TrialResult, TrialSpec
from tracking.records.checks import OFF, REPRODUCED
from tracking.records.studies import ANY_HARDWARE, DIFFERENT_HARDWARE

_DIGITS = 6
_MOST_REASONS = 5
_MOST_FOLDS = 10
_MOST_CLASSES = 10


class Fact(NamedTuple):
    """A fact about a study. Its name has one or two words."""

    name: str
    text: str


class Command(NamedTuple):
    """A shell command (`text`), its name, and its purpose in a sentence without a period."""

    name: str
    purpose: str
    text: str


@dataclass(frozen=True)
class Summary:
    """The summary of a study.

    Attributes:
        history: The study.
        verdict: The verdict on its best value.
        without: The store's folder for which commands need no ``--store``.
    """

    history: StudyHistory
    verdict: StudyVerdict
    without: Path | None = None

    @cached_property
    def outcome(self) -> str:
        """The best trial and its value, in one clause."""
        return outcome_of(self.history)

    @cached_property
    def facts(self) -> list[Fact]:
        """The facts about the best value and about the trials."""
        return [fact for fact in (*self._findings(), *self._trials()) if fact.text]

    @cached_property
    def definition(self) -> list[Fact]:
        """The facts about the study's definition and its cost."""
        description = self.history.description
        facts = [
            Fact("engine", f"{description.engine}, pruner {description.pruner}"),
            Fact(
                "objective",
                f"{description.objective.direction} {description.objective.metric}, "
                f"seed {description.seed}",
            ),
            *data_facts(description),
            Fact("notes", description.notes),
        ]
        if description.hardware == ANY_HARDWARE:
            facts.append(Fact("hardware", DIFFERENT_HARDWARE))
        if self.history.server:
            facts.append(Fact("also at", self.history.server))
        if self.history.ended:
            facts += [Fact("trainer", _trainers(self.history)), Fact("cost", self._cost())]
        return [fact for fact in facts if fact.text]

    @cached_property
    def commands(self) -> list[Command]:
        """The commands to run next."""
        history, best, several = self.history, self.history.best, len(self.history.engines) > 1
        store = None if history.store.root == self.without else history.store.root
        description = history.description
        of_function = description.objective_function

        def command(name: str, purpose: str, options: str = "", engine: bool = several) -> Command:
            verb = {"look": "ui"}.get(name, name)
            text = shell_command(verb, description, options, store=store, several=engine)
            return Command(name, purpose, text)

        commands = [command("look", "Look at it in the MLflow UI", engine=False)]
        if best is None:
            return commands
        commands.append(command("report", "Make its report, one HTML file"))
        if not best.verified.startswith(REPRODUCED):
            purpose = "Train the best trial again, by plain model.fit, and compare"
            if of_function:
                purpose = "Run the best trial again, and compare"
            commands.append(command("reproduce", purpose, f"--trial {best.number}"))
        if not self.verdict.is_confirmed:
            on = "" if of_function else " and on the test part"
            commands.append(command("confirm", f"Confirm the choice, under new seeds{on}"))
            if history.registered is not None and description.data.sizes.get("test"):
                purpose = "Read the sealed test part with the champion"
                commands.append(command("evaluate", purpose))
        return commands

    def best_trials(self, most: int) -> tuple[list[str], list[list[str]]]:
        """Returns the heading and the rows of a table of the best trials."""
        return trial_rows(self.history, self.history.top(most))

    def _findings(self) -> Iterator[Fact]:
        history, best, verdict = self.history, self.history.best, self.verdict
        yield Fact("best", self.outcome)
        if best is None:
            return
        if best.result.reason:
            yield Fact("cut short", best.result.reason)
        yield Fact("verdict", verdict.text)
        yield Fact("rests on", " ".join(verdict.grounds))
        if any(parameter.role == "scientific" for parameter in history.description.space):
            # This import loads numpy, which only studies with scientific hyperparameters need.
            from tracking.diagnosis.value_checks import answers

            for sentence in answers(history).values():
                yield Fact("answer", sentence)
        champion = champion_sentences(history, verdict) or ("not registered",)
        yield Fact("model", ". ".join(champion))
        chosen = history.champion or best
        for trial in (best,) if chosen is best else (best, chosen):
            whose = "" if chosen is best else f"trial {trial.number}: "
            compared = "" if trial.verified == OFF else trial.verified
            yield Fact("verified", f"{whose}{compared or 'not compared with model.fit'}")
        yield Fact("test part", _on_test(history))

    def _trials(self) -> Iterator[Fact]:
        history, description = self.history, self.history.description
        states = amounts(history.counts()) or "none yet"
        yield Fact("trials", f"{len(history.trials):,} of {description.trials:,}: {states}")
        if history.stopped and history.ended_by != "trials":
            yield Fact("ended", history.stopped)
        yield Fact("progress", _progress(history))
        yield from reason_facts(reasons(history.trials))
        contradicted = counted(sum(not trial.holds for trial in history.trials), "trial")
        if not contradicted.startswith("0 "):
            yield Fact("left out", f"{contradicted}, of which model.fit gets another result")
        if history.superseded:
            yield Fact("superseded", f"{history.superseded} infeasible, trained again since")
        if validation_parts(history) > 1:
            parts = f"on {validation_parts(history)} different sets of samples"
            yield Fact("validated", f"{parts}: values of trials do not compare")
        default = history.default
        if default is not None and default.best is not None and default is not history.best:
            yield Fact(
                "defaults", f"trial {default.number}: {value_text(default.spec, default.result)}"
            )
        if description.unread:
            yield Fact("never read", f"{listed(description.unread)}: changes nothing")
        others = [engine for engine in history.engines if engine != description.engine]
        if others:
            yield Fact("also by", f"{listed(others)} (see --engine)")

    def _cost(self) -> str:
        ended = self.history.ended
        epochs = sum(t.result.epochs_in_all for t in ended if not t.result.of_no_epoch)
        seconds = duration(math.fsum(trial.result.seconds for trial in ended))
        return f"{counted(epochs, 'epoch')} in {seconds}" if epochs else seconds


def summary_of(
    history: StudyHistory, without: Path | None = None, verdict: StudyVerdict | None = None
) -> Summary:
    """Returns the summary of a study. Without a `verdict`, computes it."""
    return Summary(history, verdict or study_verdict(history), without)


def outcome_of(history: StudyHistory) -> str:
    """Returns a study's best trial and its value, in one clause."""
    best = history.best
    if best is None:
        return f"no trial has a value of {history.description.objective.metric} yet"
    engine = f" of {history.description.engine}" if len(history.engines) > 1 else ""
    default = ", the defaults" if best.number == history.description.default_trial else ""
    return f"trial {best.number}{engine}{default}: {value_text(best.spec, best.result)}"


def value_text(spec: TrialSpec, result: TrialResult) -> str:
    """Returns a trial's value, such as ``val_accuracy 0.98 ± 0.01 at epoch 5 of 20``."""
    best = result.best
    assert best is not None, "the trial has a value"
    text = f"{spec.objective.metric} {best.value:.{_DIGITS}g}"
    if result.spread is not None:
        text += f" ± {result.spread:.2g}"
    if result.of_no_epoch:
        return text
    if result.folds or not result.repeats:
        planned = result.epochs if result.trainer == "objective" else spec.epochs
        pruned = result.state == "pruned" and not result.repeats
        text += f" at epoch {best.epoch}"
        text += f", pruned at {result.epochs} of {planned}" if pruned else f" of {planned}"
    if result.folds > _MOST_FOLDS:
        return f"{text}, the mean of {result.folds} folds"
    if result.repeats:
        whose = "the folds' " if result.folds else ""
        values = ", ".join(f"{repeat.counted:.{_DIGITS}g}" for repeat in result.repeats)
        text += f", the mean of {whose}{values}"
    return text


def trial_rows(
    history: StudyHistory, trials: Sequence[TrialRecord]
) -> tuple[list[str], list[list[str]]]:
    """Returns a table's heading, and a row of texts for each trial. A missing value is "-"."""
    names = history.description.space.names

    def cell(values: Any, name: str) -> str:
        return readable(values[name], _DIGITS) if name in values else "-"

    rows = []
    for trial in trials:
        result, best = trial.result, trial.best
        planned = trial.spec.epochs
        if result is not None and result.trainer == "objective":
            planned = result.epochs
        value = "-" if best is None else f"{best.value:.{_DIGITS}g}"
        epoch = "-" if trial.epoch is None else f"{trial.epoch}/{planned}"
        values = [cell(trial.spec.values, name) for name in names]
        rows.append([str(trial.number), value, epoch, trial.state, *values])
    return ["trial", history.description.objective.metric, "epoch", "state", *names], rows


def standing_facts(standing: Standing) -> list[Fact]:
    """Returns the facts of a study in a comparison."""
    history, best = standing.history, standing.best
    value, epoch = "no value yet", None if best is None else best.epoch
    if best is not None and best.best is not None:
        value = readable(best.best.value, _DIGITS)
    return [
        Fact("study", standing.label),
        Fact("engine", history.description.engine),
        Fact("best", value),
        Fact("epoch", "-" if epoch is None else str(epoch)),
        Fact("trial", "-" if best is None else str(best.number)),
        Fact("trials", amounts(history.counts()) or "none yet"),
        Fact("epochs", f"{standing.epochs:,}"),
        Fact("time", duration(standing.seconds)),
    ]


def cost_text(reached: Reached) -> str:
    """Returns the cost of reaching a value as a text."""
    if reached.trials is None or reached.epochs is None or reached.seconds is None:
        return "not reached"
    trials, epochs = counted(reached.trials, "trial"), counted(reached.epochs, "epoch")
    return f"{trials}, {epochs}, {duration(reached.seconds)}"


def reason_facts(causes: Sequence[Reason]) -> Iterator[Fact]:
    """Yields a fact for each reason why trials are infeasible or ended early."""
    for reason in causes[:_MOST_REASONS]:
        yield Fact(reason.kind, f"{counted(len(reason.trials), 'trial')}: {reason.text}")
    if len(causes) > _MOST_REASONS:
        more = counted(len(causes) - _MOST_REASONS, "more reason")
        yield Fact("and", f"{more}: see --json")


def data_facts(description: StudyDescription) -> Iterator[Fact]:
    """Yields facts about folds, data made by a function of `hp`, data in batches, and weights."""
    if description.folds:
        how = description.cross_validation
        drawn = "" if how.isdigit() else f", by {how}"
        yield Fact("folds", f"{description.folds} for each trial{drawn}")
    for part, stream in (description.data.details.get("streams") or {}).items():
        again = "" if stream["same_each_time"] else "; not the same each time that it is read"
        yield Fact(part, f"by {stream['kind']}; digest of {stream['digest_of']}{again}")
    if description.class_weight is not None:
        weights = (f"{label}: {weight:g}" for label, weight in description.class_weight.items())
        yield Fact("weights", f"of classes {listed(weights, most=_MOST_CLASSES)}; of others 1")


def validation_parts(history: StudyHistory) -> int:
    """Returns on how many different sets of samples the trials were validated.

    Returns 0 if all trials have the study's data.
    """
    digests = {trial.result.validation_digest for trial in history.ended}
    return len(digests - {""})


def _on_test(history: StudyHistory) -> str:
    """Returns a text on the last evaluation on the test part."""
    if "test" not in history.description.data.digests:
        return ""
    readings = read_evaluations(history)
    if not readings:
        return "sealed: not read yet"
    last = readings[-1]
    measured = ", ".join(
        f"{name} {number(each.value)}"
        + ("" if each.low is None or each.high is None else f" ({each.low:.4g} to {each.high:.4g})")
        for name, each in last.metrics.items()
    )
    times = counted(len(readings), "time")
    return f"{measured or 'not scored'}, by trial {last.trial}; read {times}"


def _progress(history: StudyHistory) -> str:
    """Returns the best value so far after each trial, as a sparkline."""
    objective, counted_trials = history.description.objective, set(map(id, history.holding))
    values: list[float] = []
    for trial in history.trials:
        if trial.value is not None and id(trial) in counted_trials:
            better = not values or objective.is_better(trial.value, values[-1])
            values.append(trial.value if better else values[-1])
    if len(values) < 2:
        return ""
    bars = sparkline_if_curve(values)
    return f"{number(values[0])} {bars} {number(values[-1])}, the best so far by trial"


def _trainers(history: StudyHistory) -> str:
    used = Counter(
        (trial.result.trainer, trial.result.trainer_reason)
        for trial in history.ended
        if trial.result.trainer
    )
    return "; ".join(
        f"{name} for {count} of {used.total()} trials" + (f" ({reason})" if reason else "")
        for (name, reason), count in used.most_common()
    )
