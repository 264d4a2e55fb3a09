"""The verdict in sentences: which value to expect on new data, and whether tuning paid."""

from __future__ import annotations

import math
import statistics

from search_spaces.texts import counted
from tracking.records.data_findings import ConstantGuess
from tracking.records.evaluation_records import Confirmation, Corrected, Interval
from tracking.records.study_description import Direction

_LEVEL = 0.95
# Numbers from 0.0001 to 1,000,000 are written without an exponent.
_SMALLEST, _LARGEST = 1e-4, 1e6
# If a bound of a gain would be rounded to 0, the bound gets up to this many more decimals.
_MORE = 3
# See `worth_having`.
_POINT, _TENTH = 0.01, 0.1
# If at least this share of the samples is of one class, the verdict says how accurate a model is
# that always answers this class.
_MOSTLY = 0.8
# If a model always answers the same class, the value of these metrics is the share of samples of
# this class.
_ACCURACIES = ("val_acc", "val_accuracy", "val_binary_accuracy", "val_categorical_accuracy",
               "val_sparse_categorical_accuracy")  # fmt: skip


def verdict_sentences(
    metric: str,
    reported: float | None,
    corrected: Corrected | None,
    confirmation: Confirmation | None,
    *,
    unknown: str = "",
    ties: str = "",
    guess: ConstantGuess | None = None,
) -> tuple[str, ...]:
    """Returns the verdict: what to expect, whether tuning paid, and what was reported.

    If a model that always answers the most frequent class is as good, the verdict says so. Numbers
    are rounded to two significant digits of the interval's width.

    `unknown` says why there is no corrected value, without a period. `ties` is a sentence that says
    which trial counts if several trials have the best value. `guess` is the most frequent class of
    the validation samples.

    Example:
        >>> from tracking.records.evaluation_records import Corrected, Interval
        >>> expected = Corrected(0.9744, Interval(0.9687, 0.9611, 0.9758), 20, 360, 1000)
        >>> " ".join(verdict_sentences("val_accuracy", 0.9744, expected, None))
        'Expect 0.969 (0.961 to 0.976). The search saw 0.974.'
    """
    if reported is None:
        return (f"No trial has a value of {metric} yet.",)
    if confirmation is not None and confirmation.reported != reported:
        former = verdict_sentences(
            metric, reported, corrected, None, unknown=unknown, guess=guess, ties=ties
        )
        return (*former, outdated_sentence(confirmation))
    expected = expected_value(corrected, confirmation)
    reached = guess_clause(metric, reported, corrected, confirmation, guess)
    gain = [] if confirmation is None else gain_sentences(confirmation)
    if expected is None:
        sentences = [f"The search saw {reported:.4g}{reached}.", ties, *_winner(confirmation)]
        sentences.append(f"What to expect is unknown{f': {unknown}' if unknown else ''}.")
        return (*filter(None, sentences), *gain)
    # Without a test part, a confirmation may have another trial as its winner, but the expected
    # value is that of the reported trial.
    whose = ""
    if confirmation is not None and confirmation.confirmed is None and _winner(confirmation):
        whose = f" of trial {confirmation.reported_trial}"
    sentences = [f"Expect {interval_text(expected)}{whose}{reached}.", *gain]
    sentences += [*_winner(confirmation), f"The search saw {_reported(expected, reported)}.", ties]
    return tuple(filter(None, sentences))


def expected_value(
    corrected: Corrected | None, confirmation: Confirmation | None
) -> Interval | None:
    """Returns the value to expect on new data, or None if it is unknown."""
    expected = None if corrected is None else corrected.estimate
    if confirmation is not None:
        expected = confirmation.confirmed or expected
    return expected if expected is not None and math.isfinite(expected.value) else None


def guess_clause(
    metric: str,
    reported: float,
    corrected: Corrected | None,
    confirmation: Confirmation | None,
    guess: ConstantGuess | None,
) -> str:
    """Returns a clause on how good a model is that always answers the most frequent class.

    The text is empty if this class is not frequent enough to mention it, or if the metric is
    neither an accuracy nor the AUC.

    `guess` is the most frequent class of the validation samples.
    """
    if confirmation is not None and confirmation.confirmed:
        # The expected value was measured on the test part, so the class must be the most frequent
        # one there.
        guess = confirmation.guess
    expected = expected_value(corrected, confirmation) or Interval(reported, reported, reported)
    if guess is None or (guess.share < expected.low and guess.share < _MOSTLY):
        return ""
    if metric in _ACCURACIES and guess.share >= expected.low:
        share = interval_numbers(expected, guess.share)[0]
        return f", which always answering {guess.answer} reaches too ({share})"
    if metric in (*_ACCURACIES, "val_auc") and guess.share >= _MOSTLY:
        chance = "an AUC of 0.5 and " if metric == "val_auc" else ""
        return f"; always answering {guess.answer} has {chance}an accuracy of {guess.share:.3f}"
    return ""


def worth_sentences(
    trial: int, value: float, best: int, confirmation: Confirmation | None
) -> tuple[str, ...]:
    """Returns sentences on the value of a trial, if the verdict is about another trial.

    A verdict is about the winner of the last confirmation, or else about the best trial. The user
    may have promoted another one.
    """
    text = f"{_called(trial)} has a validation value of {value:.4g}"
    if confirmation is None:
        return (f"{text}, not confirmed; the best is trial {best}.",)
    raced = [v for r in confirmation.race if r.trial == trial for v in r.values if v is not None]
    if raced:
        mean = sum(raced) / len(raced)
        text += f", and {mean:.4g} under {counted(len(raced), 'new seed')}."
    else:
        text += ", not confirmed."
    won = f"{_called(confirmation.winner)} won under new seeds"
    confirmed = confirmation.confirmed
    expected = "" if confirmed is None else f": expect {interval_text(confirmed)} from it"
    return text, f"{won}{expected}."


def grounds(
    corrected: Corrected | None, confirmation: Confirmation | None, *, confirmations: int = 1
) -> tuple[str, ...]:
    """Returns sentences on what the verdict is based on, such as the number of trials and samples.

    `confirmation` is the last confirmation, and `confirmations` the number of confirmations.
    """
    sentences = []
    if corrected is not None and (confirmation is None or confirmation.confirmed is None):
        choice = (
            f"corrected for the luck of being the best of {counted(corrected.trials, 'trial')}"
            if corrected.trials > 1
            else "of one trial, so without luck in a choice"
        )
        groups = f" in {counted(corrected.groups, 'group')}" if corrected.groups else ""
        samples = f"{counted(corrected.samples, 'validation sample')}{groups}"
        sentences.append(f"An estimate from {samples}, {choice}.")
        sentences += filter(None, [corrected.note])
    if confirmation is None:
        return tuple(sentences)
    raced = (
        f"{counted(len(confirmation.race), 'trial')} trained again under up to "
        f"{counted(len(confirmation.seeds), 'new seed')}"
    )
    confirmed = confirmation.confirmed
    if confirmed is None:
        sentences.append(f"{raced}.")
    else:
        sentences.append(
            f"Measured on {confirmation.test_samples:,} test samples, which no trial has seen: "
            f"{raced}; then the winner under {len(confirmation.test_seeds)} more."
        )
        if not math.isclose(confirmed.level, _LEVEL):
            sentences.append(
                f"The intervals are of {100 * confirmed.level:.3g} %, as this test part was read "
                f"{counted(confirmation.readings, 'time')}."
            )
    if confirmations > 1:
        sentences.append(f"This is the last of {confirmations} confirmations.")
    return (*sentences, *confirmation.notes)


def interval_text(interval: Interval, *, nonzero: bool = False) -> str:
    """Returns a value with its bounds: ``0.969 (0.961 to 0.976)``.

    With `nonzero`, a small bound gets more decimals, so that it is not written as 0.
    """
    shown = (interval.value, interval.low, interval.high)
    value, low, high = interval_numbers(interval, *shown, nonzero=nonzero)
    return f"{value} ({low} to {high})"


def interval_numbers(interval: Interval, *values: float, nonzero: bool = False) -> tuple[str, ...]:
    """Returns values as texts, rounded to two significant digits of the interval's width."""
    width = interval.high - interval.low
    bounds = [abs(v) for v in (interval.low, interval.high) if math.isfinite(v)]
    largest = max([*bounds, *(abs(v) for v in values if math.isfinite(v))], default=0.0)
    if not math.isfinite(width) or width <= 0:
        # Without a width, values are rounded to four significant digits of the largest value.
        width = largest / 100
    decimals = 1 - _magnitude(width)
    smallest = min((bound for bound in bounds if bound), default=0.0)
    if nonzero and 0 < smallest < 0.5 * 10.0**-decimals:
        decimals = min(decimals + _MORE, -_magnitude(smallest))
    return tuple(_number(value, decimals, largest) for value in values)


def _reported(expected: Interval, reported: float) -> str:
    """Returns the reported value as a text.

    It is rounded like the bounds of `expected`, but a value other than 0 is never written as 0.
    """
    shown = interval_numbers(expected, reported)[0]
    return f"{reported:.2g}" if reported and not float(shown.replace(",", "")) else shown


def _number(value: float, decimals: int, largest: float) -> str:
    """Returns a number with `decimals` decimals. With -1, it is rounded to tens."""
    if not math.isfinite(value):
        return "unknown" if math.isnan(value) else "infinity" if value > 0 else "-infinity"
    rounded = round(value, decimals) + 0.0
    if not _SMALLEST <= largest < _LARGEST and rounded:
        return f"{rounded:.{max(0, _magnitude(rounded) + decimals)}e}"
    return f"{rounded:,.{max(0, decimals)}f}"


def _magnitude(value: float) -> int:
    """Returns the power of ten of a number's first digit: 0 for 9.99, -1 for 0.1."""
    return math.floor(math.log10(abs(value))) if value else 0


def outdated_sentence(confirmation: Confirmation) -> str:
    """Returns a sentence on a confirmation that is older than the best trial."""
    confirmed = confirmation.confirmed
    value = (
        "" if confirmed is None else f", {interval_text(confirmed)} by trial {confirmation.winner},"
    )
    return f"The last confirmation{value} is older than the best trial: confirm the study again."


def _winner(confirmation: Confirmation | None) -> list[str]:
    if confirmation is None or confirmation.winner == confirmation.reported_trial:
        return []
    seeds = counted(len(confirmation.seeds), "new seed")
    return [f"{_called(confirmation.winner)} was best under {seeds}."]


def gain_sentences(confirmation: Confirmation) -> list[str]:
    """Returns a list with one sentence on whether tuning paid.

    The list is empty if the winner was not compared with the default.
    """
    gain, default = confirmation.gain, confirmation.default
    if default is not None and default.trial == confirmation.winner:
        return ["Tuning did not pay: the default was best."]
    if gain is None or not math.isfinite(gain.value):
        return []
    if gain.low > 0:
        return [f"Better than the default by {interval_text(gain, nonzero=True)}."]
    if gain.high < 0:
        loss = Interval(-gain.value, -gain.high, -gain.low, gain.level)
        text = interval_text(loss, nonzero=True)
        return [f"Tuning did not pay: worse than the default by {text}."]
    on_test, text = confirmation.default_on_test, interval_text(gain, nonzero=True)
    if on_test and gain.high < worth_having(statistics.fmean(on_test), confirmation.direction):
        return [f"Tuning did not pay: the gain over the default is {text}."]
    return [f"No gain over the default shown: {text}."]


def worth_having(default: float, direction: Direction) -> float:
    """Returns the least gain over the default's value that is worth having.

    For an accuracy, or another metric whose best value is 1, the least gain is 0.01, or a tenth of
    the default's distance from 1 if that is less. For a loss, it is one percent of the default's
    value. A. Benavoli et al. also treat accuracies as equal if they differ by less than 0.01: Time
    for a change: a tutorial for comparing multiple classifiers through Bayesian analysis, JMLR 18,
    2017.

    Example:
        >>> worth_having(0.8, "max"), round(worth_having(0.99, "max"), 4), worth_having(0.5, "min")
        (0.01, 0.001, 0.005)
    """
    if direction == "max" and 0 <= default <= 1:
        return min(_POINT, _TENTH * (1 - default))
    return _POINT * abs(default)


def _called(trial: int) -> str:
    return "The default" if trial < 0 else f"Trial {trial}"
