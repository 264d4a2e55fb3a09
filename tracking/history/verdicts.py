"""The verdict on a study's best value: sentences on how far to believe it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean

from search_spaces.errors import StatisticsError
from search_spaces.texts import counted, number, share
from tracking.history.champion_confirmations_evaluations import read_confirmations
from tracking.history.study_history import StudyHistory
from tracking.records import (
    Confirmation,
    ConstantGuess,
    Corrected,
    DataFindings,
    Direction,
    EndedTrial,
    Evaluation,
    Interval,
    RecordError,
    from_json,
    rank_of,
    to_json,
)

# Raise this number whenever the correction is computed differently.
_VERSION = 4
# If at least this share of the samples is of one class, the verdict gives the accuracy of a model
# that always answers this class.
_MOSTLY = 0.8
# If a model always answers the same class, the value of these metrics is the share of samples of
# this class.
_ACCURACIES = ("val_acc", "val_accuracy", "val_binary_accuracy", "val_categorical_accuracy",
               "val_sparse_categorical_accuracy")  # fmt: skip
# What a model that ignores its inputs reaches by other metrics, and what such a model does.
_CONSTANT = {"val_auc": (0.5, "chance"), "val_r2_score": (0.0, "always answering the mean")}


@dataclass(frozen=True, repr=False)
class StudyVerdict:
    """The verdict on a study's best value: how far to believe it.

    Attributes:
        metric: The objective's metric.
        reported: The best value, or None.
        corrected: The best value, corrected for the luck of being the best of many trials; or None.
        unknown: Why there is no correction, and what to do; or empty.
        confirmations: The outcomes of `kerastudy confirm`, the latest last.
        ties: A sentence on trials that share the best value, or empty.
        looked: The findings about the study's data, or None if the data was not checked. The
            verdict's first sentences are on problems in the data.
        evaluation: The last evaluation of the best trial on the test part, or None.
        default: What the default values are: `StudyDescription.default_values`.
    """

    metric: str
    reported: float | None
    corrected: Corrected | None
    unknown: str = ""
    confirmations: tuple[Confirmation, ...] = ()
    ties: str = ""
    looked: DataFindings | None = None
    evaluation: Evaluation | None = None
    default: str = "the default values"

    def __repr__(self) -> str:
        """Returns the verdict in one line."""
        return f"<verdict: {self.text}>"

    @property
    def confirmation(self) -> Confirmation | None:
        """The last confirmation, or None."""
        return self.confirmations[-1] if self.confirmations else None

    @property
    def valid_confirmation(self) -> Confirmation | None:
        """The last confirmation, or None if the study's best value has changed since."""
        last = self.confirmation
        return last if last is not None and last.reported == self.reported else None

    @property
    def evidence(self) -> tuple[Interval | None, ConstantGuess | None]:
        """The value to expect by the latest evidence, and the most frequent class of its samples.

        Values on the test part come before the correction of the best value.
        """
        confirmation, evaluation = self.valid_confirmation, self.evaluation
        if confirmation is not None and confirmation.confirmed is not None:
            return confirmation.confirmed, confirmation.guess
        if evaluation is not None and (interval := evaluation.interval(self.metric)) is not None:
            return interval, evaluation.guess
        estimate = None if self.corrected is None else self.corrected.estimate
        return estimate, None if self.looked is None else self.looked.guess

    @property
    def expected(self) -> Interval | None:
        """The value to expect on new data, or None if it is unknown."""
        expected, _ = self.evidence
        return expected if expected is not None and math.isfinite(expected.value) else None

    @property
    def chance(self) -> str | None:
        """A sentence if the champion may be no better than a model that ignores its inputs."""
        (_, guess), constant = self.evidence, _CONSTANT.get(self.metric)
        if guess is not None and self.metric in _ACCURACIES:
            constant = guess.share, f"always answering {guess.answer}"
        if constant is None or self.reported is None:
            return None
        expected = self.expected or Interval(self.reported, self.reported, self.reported)
        text = f"Not shown to be better than {constant[1]} ({expected.numbers(constant[0])[0]})."
        return text if expected.low <= constant[0] else None

    @property
    def gain(self) -> str:
        """A sentence on whether tuning paid.

        The text is empty if the winner of a confirmation was not compared with the default, or if
        nobody chose the default.
        """
        confirmation = self.valid_confirmation
        if confirmation is None or self.default != StudyVerdict.default:
            return ""
        gain, default = confirmation.gain, confirmation.default
        if default is not None and default.trial == confirmation.winner:
            return "Tuning did not pay: the default was best."
        if gain is None or not math.isfinite(gain.value):
            return ""
        if gain.low > 0:
            return f"Better than the default by {gain.text(nonzero=True)}."
        if gain.high < 0:
            loss = Interval(-gain.value, -gain.high, -gain.low, gain.level)
            text = loss.text(nonzero=True)
            return f"Tuning did not pay: worse than the default by {text}."
        on_test, text = confirmation.default_on_test, gain.text(nonzero=True)
        if on_test and gain.high < _worth_having(fmean(on_test), confirmation.direction):
            return f"Tuning did not pay: the gain over the default is {text}."
        return f"No gain over the default shown: {text}."

    @property
    def doubt(self) -> str | None:
        """A sentence if the champion is not shown to beat `chance` or the default, else None.

        It decides the first sentence of the verdict, the next step, and the diagnosis.
        """
        gain = self.valid_confirmation and self.valid_confirmation.gain
        return self.chance or (None if gain and gain.low > 0 else self.gain or None)

    @property
    def guess(self) -> str:
        """A clause on the accuracy of always answering a very frequent class, or empty."""
        (_, guess), is_auc = self.evidence, self.metric == "val_auc"
        has_sense = is_auc or (self.metric in _ACCURACIES and not self.chance)
        if guess is None or guess.share < _MOSTLY or not has_sense:
            return ""
        chance, accuracy = "an AUC of 0.5 and " if is_auc else "", number(guess.share, 3)
        return f"; always answering {guess.answer} has {chance}an accuracy of {accuracy}"

    @property
    def flaws(self) -> tuple[str, ...]:
        """The first sentences: problems in the study's data, and the `doubt`."""
        problems = () if self.looked is None else self.looked.problems
        return problems if self.doubt is None else (*problems, self.doubt)

    @property
    def outdated(self) -> str:
        """A sentence on the last confirmation if it is older than the best trial, or empty."""
        last = self.confirmation
        if last is None or self.valid_confirmation is not None:
            return ""
        by = f", {last.confirmed.text()} by trial {last.winner}," if last.confirmed else ""
        return f"The last confirmation{by} is older than the best trial: confirm the study again."

    @cached_property
    def sentences(self) -> tuple[str, ...]:
        """The sentences of the verdict: what to expect, whether tuning paid, what the search saw.

        Numbers are rounded to two significant digits of the interval's width.
        """
        reported, expected, confirmation = self.reported, self.expected, self.valid_confirmation
        if reported is None:
            return (*self.flaws, f"No trial has a value of {self.metric} yet.")
        winner = whose = ""
        gain = "" if self.doubt == self.gain else self.gain
        if confirmation is not None and confirmation.winner != confirmation.reported_trial:
            seeds = counted(len(confirmation.seeds), "new seed")
            winner = f"{called(confirmation.winner)} was best under {seeds}."
            # Without a test part, the expected value is about the reported trial, not about the
            # winner.
            whose = "" if confirmation.confirmed else f" of trial {confirmation.reported_trial}"
        if expected is None:
            unknown = f"What to expect is unknown{f': {self.unknown}' if self.unknown else ''}."
            search_sentence = f"The search saw {number(reported)}{self.guess}."
            sentences = [search_sentence, self.ties, winner, unknown, gain]
        else:
            best_value = expected.numbers(reported)[0]
            # A value that is not 0 must not be rounded to 0.
            if reported and not float(best_value.replace(",", "")):
                best_value = number(reported, 2)
            text = f"Expect {expected.text()}{whose}{self.guess}."
            sentences = [text, gain, winner, f"The search saw {best_value}.", self.ties]
        return (*self.flaws, *filter(None, (*sentences, self.outdated)))

    @cached_property
    def grounds(self) -> tuple[str, ...]:
        """Sentences on what the verdict rests on, such as the number of trials and samples."""
        sentences, corrected, confirmation = list[str](), self.corrected, self.valid_confirmation
        confirmed = None if confirmation is None else confirmation.confirmed
        if confirmed is None and self.evaluation and self.evaluation.interval(self.metric):
            sentences.append(f"Measured on {self.evaluation.samples:,} test samples.")
        elif corrected is not None and confirmed is None:
            choice = (
                f"corrected for the luck of being the best of {counted(corrected.trials, 'trial')}"
                if corrected.trials > 1
                else "of one trial, so no choice made it look better"
            )
            groups = f" in {counted(corrected.groups, 'group')}" if corrected.groups else ""
            samples = f"{counted(corrected.samples, 'validation sample')}{groups}"
            sentences += [f"An estimate from {samples}, {choice}.", corrected.note]
        if confirmation is None:
            return tuple(filter(None, (*sentences, self.outdated)))
        raced = (
            f"{counted(len(confirmation.race), 'trial')} trained again under up to "
            f"{counted(len(confirmation.seeds), 'new seed')}"
        )
        if confirmed is None:
            sentences.append(f"{raced}.")
        else:
            sentences.append(
                f"Measured on {confirmation.test_samples:,} test samples, which no trial has seen: "
                f"{raced}; then the winner under {len(confirmation.test_seeds)} more."
            )
            if not math.isclose(confirmed.level, 0.95):
                sentences.append(
                    f"The intervals are of {share(confirmed.level)}, as this test part was "
                    f"read {counted(confirmation.readings, 'time')}."
                )
        if len(self.confirmations) > 1:
            sentences.append(f"This is the last of {len(self.confirmations)} confirmations.")
        return tuple(filter(None, (*sentences, *confirmation.notes)))

    @property
    def text(self) -> str:
        """The verdict in one line."""
        return " ".join(self.sentences)


def study_verdict(history: StudyHistory) -> StudyVerdict:
    """Returns the verdict on a study's best value. Uses the recorded correction, if it is valid."""
    best = history.best
    if best is None:
        return StudyVerdict(history.description.objective.metric, None, None)
    read = [e for e in history.journal.evaluations() if e.trial == best.number]
    corrected, unknown = _recorded(history) or _computed(history)
    confirmations = tuple(read_confirmations(history))
    facts = (best.value, corrected, unknown, confirmations, _ties(history), looked_at(history))
    metric, default = history.description.objective.metric, history.description.default_values
    return StudyVerdict(metric, *facts, read[-1] if read else None, default)


def verdict_by(history: StudyHistory, confirmation: Confirmation) -> StudyVerdict:
    """Returns the verdict on a study that follows from one of its confirmations."""
    reported, corrected = confirmation.reported, confirmation.corrected
    verdict = dataclasses.replace(study_verdict(history), reported=reported, corrected=corrected)
    return dataclasses.replace(verdict, confirmations=(confirmation,))


def looked_at(history: StudyHistory) -> DataFindings | None:
    """Returns the recorded findings about a study's data; None if the data has changed since."""
    findings = history.journal.findings()
    same = findings is not None and findings.digest == history.description.data.digest
    return findings if same else None


def _ties(history: StudyHistory) -> str:
    """Returns a sentence on trials that share the best value, or an empty text."""
    trials, objective = history.holding, history.description.objective
    tied = [rank_of(t, objective) for t in trials if t.value == trials[0].value]
    if len(tied) < 2:
        return ""
    why = "has the lowest validation loss" if tied[0].loss < tied[-1].loss else "did so earliest"
    return f"{len(tied):,} trials reach that; trial {tied[0].number} {why}."


def worth(history: StudyHistory, verdict: StudyVerdict, trial: EndedTrial) -> str:
    """Returns sentences on how good a trial is. Empty if the verdict is about this trial.

    A verdict is about the winner of the last confirmation, or else about the best trial.
    """
    best, confirmation = history.best, verdict.valid_confirmation
    if not trial.holds:
        return f"Trial {trial.number} does not count: {trial.verified}."
    if best is None or trial.best is None:
        return ""
    if trial.number == (best.number if confirmation is None else confirmation.winner):
        return ""
    text = f"Trial {trial.number} has a validation value of {number(trial.best.value)}"
    if confirmation is None:
        return f"{text}, not confirmed; the best is trial {best.number}."
    race = [racer for racer in confirmation.race if racer.trial == trial.number]
    values = [value for racer in race for value in racer.values if value is not None]
    raced = "not confirmed"
    if values:
        raced = f"and {number(fmean(values))} under {counted(len(values), 'new seed')}"
    won, confirmed = f"{called(confirmation.winner)} won under new seeds", confirmation.confirmed
    expected = f": expect {confirmed.text()} from it" if confirmed else ""
    return f"{text}, {raced}. {won}{expected}."


def called(trial: int) -> str:
    """Returns the subject of a sentence on a trial. -1 stands for the default."""
    return "The default" if trial < 0 else f"Trial {trial}"


def champion_sentences(history: StudyHistory, verdict: StudyVerdict) -> tuple[str, ...]:
    """Returns sentences on the champion: which trial, why it was chosen, and its `worth`.

    If there is no champion, the result is empty.
    """
    trial = history.champion
    if trial is None:
        return ()
    which = ", ".join(filter(None, (f"trial {trial.number}", history.promoted)))
    registered = f"{which}: {history.champion_address} in MLflow"
    return tuple(filter(None, (registered, worth(history, verdict, trial))))


def record_corrected(history: StudyHistory) -> None:
    """Records a study's corrected value, which takes seconds to compute for thousands of trials.

    A digest of the trials, recorded with the value, shows readers whether the value is outdated.
    """
    if history.holding and _recorded(history) is None:
        correction = _Correction(_key(history), *_computed(history))
        with history.writing() as journal:
            journal.set_corrected(to_json(correction))


@dataclass(frozen=True)
class _Correction:
    """A recorded correction, or why there is none. `key` is the digest of the trials."""

    key: str
    corrected: Corrected | None
    unknown: str


def _recorded(history: StudyHistory) -> tuple[Corrected | None, str] | None:
    """Returns the recorded correction, or None if it is missing, damaged or outdated."""
    try:
        correction = from_json(_Correction, history.recorded_correction)
    except RecordError:
        return None
    return (correction.corrected, correction.unknown) if correction.key == _key(history) else None


def _key(history: StudyHistory) -> str:
    """Returns a digest of the trials and of the files of scores that a correction depends on."""
    files = history.files.folder.glob("*.scores.*")
    sizes = sorted((file.name, file.stat().st_size) for file in files)
    facts = [(t.number, t.value, t.epoch, t.result.weights_sha256) for t in history.holding]
    return hashlib.sha256(json.dumps([_VERSION, facts, sizes]).encode()).hexdigest()


def _computed(history: StudyHistory) -> tuple[Corrected | None, str]:
    # These imports take time, and are not needed if a correction is recorded.
    from threadpoolctl import threadpool_limits

    from tracking.statistics import corrected, trial_scores

    trials, direction = history.holding, history.description.objective.direction
    best = trials[0]
    scores = trial_scores(history.files, trials)
    if best.number not in scores:
        whose = f"trial {best.number}, the best, has" if scores else "the record has"
        why = "their file can't be used. `kerastudy confirm` needs no scores"
        why = best.result.unscored or (why if best.result.scores_bytes else "")
        return None, f"{whose} no scores of validation samples{': ' if why else ''}{why}"
    try:
        # Trainings may take all cores. Then several threads of numpy would wait for each other, and
        # the correction would take minutes instead of seconds.
        with threadpool_limits(1):
            estimate = corrected(scores, direction, reported=best.value)
        value = _not_better(estimate.estimate, estimate.reported, direction)
    except StatisticsError as error:
        return None, str(error)
    except (ArithmeticError, MemoryError, ValueError) as error:
        # A failure of the correction must not end a launch.
        return None, f"it could not be computed ({type(error).__name__}: {error})"
    missing = len(trials) - len(scores)
    if missing:
        trials_are = "1 trial has" if missing == 1 else f"{missing:,} trials have"
        note = f"{trials_are} no scores of samples, and did not count."
        estimate = dataclasses.replace(estimate, note=f"{note} {estimate.note}".strip())
    return dataclasses.replace(estimate, estimate=value), ""


def _not_better(estimate: Interval, reported: float, direction: Direction) -> Interval:
    """Returns an estimate whose value is not better than the reported one, even if it is rounded.

    `Interval.text` writes two digits of the width. If the rounded value is better, the value gets
    half a unit of the last digit worse.
    """
    sign = 1 if direction == "max" else -1
    value = sign * min(sign * estimate.value, sign * reported)
    (text,), width = estimate.numbers(value), estimate.high - estimate.low
    if sign * float(text.replace(",", "")) > sign * reported and width > 0:
        value -= sign * 10.0 ** (math.floor(math.log10(width)) - 1) / 2
    return dataclasses.replace(estimate, value=value)


# `_worth_having` explains these numbers.
_POINT, _TENTH = 0.01, 0.1


def _worth_having(default: float, direction: Direction) -> float:
    """Returns the least gain over the default's value that is worth having.

    For an accuracy, or another metric whose best value is 1, the least gain is 0.01, or a tenth of
    the default's distance from 1 if that is less. For a loss, it is one percent of the default's
    value. A. Benavoli et al. also treat accuracies as equal if they differ by less than 0.01: Time
    for a change: a tutorial for comparing multiple classifiers through Bayesian analysis, JMLR 18,
    2017.

    Example:
        >>> _worth_having(0.8, "max"), _worth_having(0.5, "min")
        (0.01, 0.005)
        >>> round(_worth_having(0.99, "max"), 4)
        0.001
    """
    if direction == "max" and 0 <= default <= 1:
        return min(_POINT, _TENTH * (1 - default))
    return _POINT * abs(default)
