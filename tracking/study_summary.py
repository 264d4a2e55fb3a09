"""The summary of a study: its facts, its next commands and its best trials.

The terminal, JSON documents, reports, MLflow and notebooks all show this summary.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

from search_spaces.texts import (
    amounts,
    counted,
    duration,
    listed,
    number,
    readable,
    share,
)
from tracking.history import (
    StudyHistory,
    StudyVerdict,
    champion_sentences,
    evaluations_on,
    study_verdict,
)
from tracking.records import (
    ClassWeight,
    EndedTrial,
    Evaluation,
    Reason,
    StudyDescription,
    TrialRecord,
    TrialResult,
    in_words,
    reasons,
)
from tracking.shell_commands import data_command, launch_command, study_command
from tracking.store import holder_of

if TYPE_CHECKING:
    # These imports would load numpy, which summaries do not need.
    from tracking.diagnosis import Diagnosis

_DIGITS = 6
_MOST_REASONS = 5
_MOST_FOLDS = 10
_MOST_CLASSES = 10
_TABLES = (".csv", ".tsv", ".parquet")
# Summaries write these explanations after the states of trials.
_STATES = {"pruned": " (given up early)", "infeasible": " (no usable value)"}
_TRAINERS = {
    "compiled": "by compiled steps, which give the same numbers as model.fit",
    "plain": "by plain model.fit",
    "objective": "by your objective function",
}


class Fact(NamedTuple):
    """A fact about a study. Its name has one or two words."""

    name: str
    text: str


class Command(NamedTuple):
    """A shell command (`text`), its name, and its purpose in a sentence without a period."""

    name: str
    purpose: str
    text: str


class Expectation(NamedTuple):
    """The texts that terminals and pages show first: they are about one value.

    The value is what to expect of the champion on new data. If this is unknown, the value is the
    best value of the search.
    """

    value: str
    interval: str  # Empty for the best value of the search.
    caption: str  # A clause that says which of the two values it is.
    default: str  # The value of the default hyperparameters, or empty.
    gain: str  # A sentence on the gain over the default hyperparameters, or empty.
    search_sentence: str  # A sentence on the best value of the search.


@dataclass(frozen=True)
class Summary:
    """The summary of a study.

    Attributes:
        history: The study.
        verdict: The verdict on the study's best value.
    """

    history: StudyHistory
    verdict: StudyVerdict

    @cached_property
    def outcome(self) -> str:
        """A clause with the best trial and its value."""
        return outcome_of(self.history)

    @cached_property
    def expectation(self) -> Expectation | None:
        """The value to expect. None if no trial has a value."""
        best = self.history.best
        return None if best is None else _expectation(self.history, best, self.verdict)

    @cached_property
    def facts(self) -> list[Fact]:
        """All facts: those in `expected`, `search` and `definition`."""
        return [*self.expected, *self.search, *self.definition]

    @cached_property
    def expected(self) -> list[Fact]:
        """The facts about the value to expect."""
        return [fact for fact in self._expected() if fact.text.strip(".")]

    @cached_property
    def search(self) -> list[Fact]:
        """The facts about the trials and about the champion."""
        return [fact for fact in (*self._trials(), *self._champion()) if fact.text]

    @cached_property
    def definition(self) -> list[Fact]:
        """The facts about the study's definition and its cost."""
        description = self.history.description
        way = "highest" if description.objective.direction == "max" else "lowest"
        varied = sum(parameter.count != 1 for parameter in description.space)
        varied_ones = f"{counted(varied, 'hyperparameter')} varied" if varied else "nothing varied"
        pruner = f"the pruner {description.pruner} gives up bad trials early"
        if description.pruner == "none":
            pruner = "without a pruner"
        chosen = f"{description.engine} chose the values, {pruner}; seed {description.seed}"
        facts = [
            Fact("searched", f"for the {way} {description.objective.metric}; {varied_ones}"),
            Fact("engine", chosen),
            *data_facts(description),
            Fact("notes", description.notes),
        ]
        if len(kinds := self.history.hardware) > 1:
            facts.append(Fact("hardware", f"{'; '.join(kinds)}: bits may differ between trials"))
        if self.history.server:
            facts.append(Fact("server", f"{self.history.server} is to get a copy of the study"))
        if self.history.ended:
            facts += [Fact("trained", _trainers(self.history)), Fact("cost", self._cost())]
        return [fact for fact in facts if fact.text]

    @cached_property
    def diagnosis(self) -> Diagnosis:
        """The diagnosis of the study."""
        # This import loads numpy, which the summary of most studies does not need.
        from tracking.diagnosis import diagnose

        return diagnose(self.history)

    @cached_property
    def commands(self) -> list[Command]:
        """The commands of the next step. While a launch runs, there are none.

        The step is to finish the launch, to launch what the diagnosis suggests, to look at the data
        if the champion is in doubt, or to confirm. Each of these takes one command. For a confirmed
        champion, there are two commands: to predict, and to export the model.
        """
        history, description = self.history, self.history.description
        if history.status == "RUNNING" and holder_of(history.folder):
            return []
        if history.status != "FINISHED" or history.best is None:
            purpose = (
                "Resume the interrupted launch. If it had more options, add them to this command"
            )
            if history.status == "FINISHED":
                purpose = "As no trial has a value, mend the cause, then launch the study again"
            return [Command("launch", purpose, launch_command(history, description.name))]
        if self.verdict.valid_confirmation is None or self.verdict.chance:
            return [self._before_use()]
        # In the command, the file of new samples has the format of the study's own data file.
        kinds = [kind for kind in _TABLES if kind in Path(description.data.source).suffixes]
        samples = f"--input new{kinds[0] if kinds else '.npy'}"
        return [
            *([self._before_use()] if self.verdict.doubt else []),
            self.command("predict", "Predict the samples of a file", samples),
            self.command("export", "Take the model away as a file", "--as keras"),
        ]

    def _before_use(self) -> Command:
        following, command = self.diagnosis.next, self.diagnosis.command
        problems = [f.title for f in self.diagnosis.findings if f.severity == "problem"]
        whys = [why for _, why in following.reasons]
        resumes = following.name == self.history.description.name
        if command and (resumes or whys[0] in problems):
            more = f" ({counted(len(whys) - 1, 'more reason')}: kerastudy diagnose)"
            return Command("launch", f"{whys[0]}{more if len(whys) > 1 else ''}. Launch", command)
        if self.verdict.doubt:
            purpose = "Take more samples, or inputs that tell more. To look at the data"
            return Command("data", purpose, data_command(self.history.description))
        read = (
            "the test part again" if _test_readings(self.history) else "the sealed test part once"
        )
        test = f", and read {read}" if _test_samples(self.history) else ""
        return self.command("confirm", f"Train the best trials again under new seeds{test}")

    @cached_property
    def looking(self) -> list[Command]:
        """The commands that show more of the study."""
        ui = self.command("ui", "Every run, in the MLflow UI")
        return [self.command("report", "Charts, in one HTML file"), ui]

    def command(self, verb: str, purpose: str, options: str = "") -> Command:
        """Returns a command on the study, with the text that `study_command` returns."""
        return Command(verb, purpose, study_command(self.history, verb, options))

    def _expected(self) -> Iterator[Fact]:
        history, best, verdict = self.history, self.history.best, self.verdict
        for flaw in verdict.flaws:
            yield Fact("warning", flaw)
        first = self.expectation
        if best is None or first is None:
            yield Fact("expect", f"nothing yet: {self.outcome}")
            return
        expected = f"{first.value} ({first.interval}): {first.caption}"
        unknown = f"unknown so far: {first.value} is {first.caption}"
        yield Fact("expect", expected if first.interval else unknown)
        yield Fact("default", f"{first.default}. {first.gain}".strip(". ") + ".")
        yield Fact("seen", first.search_sentence)
        if best.result.reason:
            yield Fact("cut short", best.result.reason)
        yield Fact("based on", " ".join(verdict.grounds))
        if any(parameter.role == "scientific" for parameter in history.description.space):
            # This import loads numpy, which other studies do not need here.
            from tracking.diagnosis import answers

            for sentence in answers(history).values():
                yield Fact("answer", sentence)

    def _trials(self) -> Iterator[Fact]:
        history, description = self.history, self.history.description
        counts = history.counts()
        if counts["running"] and not holder_of(history.folder):
            counts["cut off by a kill, to be resumed"] = counts.pop("running")
        states = amounts({state + _STATES.get(state, ""): count for state, count in counts.items()})
        count = f"{len(history.trials):,}"
        # The last launch may have asked for fewer trials than the study already had. Then the text
        # has no "of N".
        if len(history.trials) <= description.trials:
            count += f" of {description.trials:,}"
        yield Fact("trials", f"{count}: {states or 'none has begun'}")
        if history.stopped and history.ended_by != "trials":
            yield Fact("ended", history.stopped)
        yield from reason_facts(reasons(history.trials))
        if contradicted := sum(not trial.holds for trial in history.trials):
            trials = counted(contradicted, "trial")
            yield Fact("left out", f"{trials}: plain Keras (model.fit) gets another result")
        before = sum(not description.code.same_as(t.code_digest) for t in history.trials)
        if before and description.code.path:
            trials = counted(before, "trial")
            yield Fact(
                "code", f"{trials} ran before a change of the code: values may not be comparable"
            )
        if description.unread:
            names = listed(description.unread)
            yield Fact("never read", f"{names}: ignored by the builder, so without any effect")

    def _champion(self) -> Iterator[Fact]:
        history, best = self.history, self.history.best
        if best is None:
            return
        champion = champion_sentences(history, self.verdict) or ("none is registered",)
        yield Fact("champion", ". ".join(champion))
        weights = None if history.champion is None else history.champion.class_weight
        if weights is not None and all(weights.values()):
            text = weights_text(weights, _class_names(history.description))
            yield Fact("weighted", f"class {text}; predict corrects probabilities")
        checked = history.champion or best
        # A trial without a Keras model has no training to compare.
        if checked.verified or not checked.result.of_no_epoch:
            yield Fact("checked", in_words(checked.verified))
        yield Fact("test part", _on_test(history))

    def _cost(self) -> str:
        ended = self.history.ended
        epochs = sum(trial.result.epochs_in_all for trial in ended)
        seconds = duration(math.fsum(trial.result.seconds for trial in ended))
        return f"{counted(epochs, 'epoch')} of training, {seconds} in all" if epochs else seconds


def summary_of(history: StudyHistory, verdict: StudyVerdict | None = None) -> Summary:
    """Returns the summary of a study. Without a `verdict`, computes it."""
    return Summary(history, verdict or study_verdict(history))


def _expectation(history: StudyHistory, best: EndedTrial, verdict: StudyVerdict) -> Expectation:
    metric, expected, valued = verdict.metric, verdict.expected, history.holding
    luck = f", the best of {len(valued):,} and so partly luck" if len(valued) > 1 else ""
    search_sentence = f"{outcome_of(history)}{luck}. {verdict.ties}".strip()
    beside = (*_default(history, verdict), search_sentence)
    if expected is None:
        assert best.value is not None, "ranked trials have a value"
        why = f" ({verdict.unknown})" if verdict.unknown else ""
        caption = f"{metric} as the search saw it, which promises too much"
        return Expectation(number(best.value), "", f"{caption}{why}{verdict.guess}", *beside)
    confirmation, winner = verdict.valid_confirmation, best.number
    if confirmation is not None and confirmation.confirmed is not None:
        winner = confirmation.winner
    value, low, high = expected.numbers(expected.value, expected.low, expected.high)
    interval = f"{low} to {high} at {share(expected.level)}"
    whose = verdict.default if winner < 0 else f"trial {winner}"
    caption = f"{metric.removeprefix('val_')} of {whose} on new data{verdict.guess}"
    champion = history.champion
    if champion is not None and champion.number != winner:
        caption += f"; the champion is another trial, {champion.number}"
    return Expectation(value, interval, caption, *beside)


def _default(history: StudyHistory, verdict: StudyVerdict) -> tuple[str, str]:
    """Returns the value of the search space's defaults, and a sentence on the gain over them.

    Without a confirmation, the gain is the difference between the value to expect and the value of
    the defaults.
    """
    expected, default = verdict.expected, history.default
    confirmation = verdict.valid_confirmation

    def text_of(value: float) -> str:
        return number(value) if expected is None else expected.numbers(value)[0]

    gain = "" if verdict.gain == verdict.doubt else verdict.gain
    if confirmation is not None and confirmation.default_on_test:
        on_test = text_of(fmean(confirmation.default_on_test))
        return f"{on_test} with {verdict.default} on the same test samples", gain
    winner = None if confirmation is None or not confirmation.confirmed else confirmation.winner
    if default is not None and winner in (default.number, -1):
        return f"the same, as {verdict.default} won", gain
    if default is None:
        return "", gain
    if default.value is None:
        return f"no value: {default.result.reason or default.state}", ""
    value = f"{text_of(default.value)} with {verdict.default} (trial {default.number})"
    if gain or verdict.doubt or verdict.default != StudyVerdict.default:
        return value, gain
    if default.state == "pruned":
        return f"{value}, given up at epoch {default.result.epochs}", ""
    if expected is None:
        return value, ""
    objective = history.description.objective
    difference = objective.sort_key(default.value) - objective.sort_key(expected.value)
    if difference <= 0:
        return value, "Tuning has gained nothing so far."
    return value, f"Tuning gains about {text_of(difference)}, not yet tested."


def outcome_of(history: StudyHistory) -> str:
    """Returns a study's best trial and its value, in one clause."""
    best, description = history.best, history.description
    if best is None:
        return f"no trial has a value of {description.objective.metric} yet"
    default = f", {description.default_values}" if best.number == description.default_trial else ""
    return f"trial {best.number}{default}: {best.value_text}{_repeats_text(best.result)}"


def _repeats_text(result: TrialResult) -> str:
    """Returns a clause with the values of a trial's repeats or folds, or an empty text."""
    if not result.repeats or result.of_no_epoch:
        return ""
    if result.folds > _MOST_FOLDS:
        return f", the mean of {result.folds} folds"
    whose = "the folds' " if result.folds else ""
    values = (readable(repeat.counted, _DIGITS) for repeat in result.repeats)
    return f", the mean of {whose}{', '.join(values)}"


def trial_rows(
    history: StudyHistory, trials: Sequence[TrialRecord]
) -> tuple[list[str], list[list[str]]]:
    """Returns a table's heading, and a row of texts for each trial. A missing value is "-"."""
    names = history.description.space.names
    # Trials of an objective function may have no epochs.
    epochs = ["epoch"] if any(trial.epoch is not None for trial in trials) else []
    rows = []
    for trial in trials:
        params = trial.params
        value = "-" if trial.value is None else readable(trial.value, _DIGITS)
        epoch = ["-" if trial.epoch is None else f"{trial.epoch}/{trial.epochs}" for _ in epochs]
        values = [readable(params[name], _DIGITS) if name in params else "-" for name in names]
        state = "champion" if history.is_champion(trial) else trial.state
        rows.append([str(trial.number), value, *epoch, state, *values])
    return ["trial", history.description.objective.metric, *epochs, "state", *names], rows


def reason_facts(causes: Sequence[Reason]) -> Iterator[Fact]:
    """Yields facts on the most frequent reasons why trials are infeasible or ended early."""
    for reason in causes[:_MOST_REASONS]:
        yield Fact(reason.kind, f"{counted(len(reason.trials), 'trial')}: {reason.text}")
    if len(causes) > _MOST_REASONS:
        more = counted(len(causes) - _MOST_REASONS, "more reason")
        yield Fact("and", f"{more}: see --json")


def data_facts(description: StudyDescription) -> Iterator[Fact]:
    """Yields facts about the folds, the parts that come in batches, and the class weights."""
    if description.folds:
        how = description.cross_validation
        method = "" if how.isdigit() else f", by {how}"
        yield Fact("folds", f"{description.folds} for each trial{method}")
    for part, stream in (description.data.details.get("streams") or {}).items():
        again = "" if stream["same_each_time"] else "; not the same each time that it is read"
        yield Fact(part, f"by {stream['kind']}; digest of {stream['digest_of']}{again}")
    if description.class_weight is not None:
        names, class_weight = _class_names(description), description.class_weight
        others = "" if names and len(names) <= len(class_weight) else "; of others 1"
        yield Fact("weights", f"of classes {weights_text(class_weight, names)}{others}")


def weights_text(class_weight: ClassWeight, names: Sequence[str] = ()) -> str:
    """Returns class weights as a text, such as ``N: 0.53 and Y: 8.3``.

    `names` are the names of the classes 0, 1, 2 and so on. Classes without a name are numbers.
    """
    called = {label: name for label, name in enumerate(names) if str(label) not in names}
    weights = (f"{called.get(label, label)}: {w:.3g}" for label, w in class_weight.items())
    return listed(weights, most=_MOST_CLASSES)


def _class_names(description: StudyDescription) -> list[str]:
    """Returns the names of the classes, in their order; empty if they are not known."""
    targets = {} if description.looked is None else description.looked.classes
    return list(next(iter(targets.values()))["train"]) if len(targets) == 1 else []


def _test_samples(history: StudyHistory) -> int:
    return history.description.data.sizes.get("test", 0)


def _test_readings(history: StudyHistory) -> list[Evaluation]:
    """Returns all evaluations, also of other studies, on the test part of this study."""
    digest = history.description.data.digests.get("test")
    return evaluations_on(history.store, digest) if digest else []


def _on_test(history: StudyHistory) -> str:
    """Returns a clause on the last evaluation on the test part; empty without a test part."""
    if "test" not in history.description.data.digests:
        return ""
    readings, name = _test_readings(history), history.description.name
    samples, times = counted(_test_samples(history), "sample"), counted(len(readings), "time")
    if not readings:
        return f"{samples}, sealed: nothing has seen them yet"
    own = [evaluation for evaluation in readings if evaluation.study == name]
    if not own:
        return f"{samples}, read {times} for other studies, last for {readings[-1].study}"
    last = own[-1]
    level = "" if last.level == 0.95 else f" at {share(last.level)}"
    of = f"trial {last.trial}"
    of = f"{of} trained under new seeds" if last.confirmation else f"the checkpoint of {of}"
    return f"{last.metrics_text + level if last.metrics else 'not scored'}, by {of}; read {times}"


def _trainers(history: StudyHistory) -> str:
    trainers = Counter(
        (trial.result.trainer, trial.result.trainer_reason)
        for trial in history.ended
        if trial.result.trainer
    )
    return "; ".join(
        f"{count} of {trainers.total()} trials {trainer_text(name, reason)}"
        for (name, reason), count in trainers.most_common()
    )


def trainer_text(name: str, reason: str) -> str:
    """Returns a clause that says how a trial was trained, and why in this way if that is known."""
    return _TRAINERS.get(name, f"by {name}") + (f" ({reason})" if reason else "")
