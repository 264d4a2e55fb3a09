"""Intervals as texts, and the sentence on whether tuning paid."""

from __future__ import annotations

import math
import statistics

from tracking.records.evaluation_records import Confirmation, Interval
from tracking.records.study_description import Direction

# Numbers from 0.0001 to 1,000,000 are written without an exponent.
_SMALLEST, _LARGEST = 1e-4, 1e6
# If a bound of a gain would be rounded to 0, the bound gets up to this many more decimals.
_MORE = 3
# `worth_having` explains these numbers.
_POINT, _TENTH = 0.01, 0.1


def interval_text(interval: Interval, *, nonzero: bool = False) -> str:
    """Returns a value with its bounds: ``0.969 (0.961 to 0.976)``.

    With `nonzero`, a small bound gets more decimals, so that it is not written as 0.
    """
    numbers = (interval.value, interval.low, interval.high)
    value, low, high = interval_numbers(interval, *numbers, nonzero=nonzero)
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


def gain_sentence(confirmation: Confirmation) -> str:
    """Returns a sentence on whether tuning paid.

    The text is empty if the winner was not compared with the default.
    """
    gain, default = confirmation.gain, confirmation.default
    if default is not None and default.trial == confirmation.winner:
        return "Tuning did not pay: the default was best."
    if gain is None or not math.isfinite(gain.value):
        return ""
    if gain.low > 0:
        return f"Better than the default by {interval_text(gain, nonzero=True)}."
    if gain.high < 0:
        loss = Interval(-gain.value, -gain.high, -gain.low, gain.level)
        text = interval_text(loss, nonzero=True)
        return f"Tuning did not pay: worse than the default by {text}."
    on_test, text = confirmation.default_on_test, interval_text(gain, nonzero=True)
    if on_test and gain.high < worth_having(statistics.fmean(on_test), confirmation.direction):
        return f"Tuning did not pay: the gain over the default is {text}."
    return f"No gain over the default shown: {text}."


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
