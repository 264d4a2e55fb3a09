"""The verdict in sentences: a table of cases, written by hand."""

from dataclasses import replace
from typing import Any

import pytest

from search_spaces.texts import number, readable, share, with_spread
from tracking.history import StudyVerdict
from tracking.records import (
    Confirmation,
    ConstantGuess,
    Corrected,
    DataFindings,
    Evaluation,
    Interval,
    Measured,
    Racer,
)

CORRECTED = Corrected(0.9744, Interval(0.9652, 0.9511, 0.9777), 20, 360, 1000)
CONFIRMED = Confirmation(
    study="digits",
    uuid="1",
    metric="val_accuracy",
    direction="max",
    reported_trial=7,
    reported=0.9744,
    corrected=CORRECTED,
    seeds=(1, 2, 3, 4),
    race=(Racer(7, (0.97,) * 4, 2000, 9), Racer(12, (0.97,) * 4, 1000, 9)),
    default=Racer(-1, (0.96,) * 5, 3000, 9),
    winner=7,
    confirmed=Interval(0.9687, 0.9611, 0.9758),
    gain=Interval(0.0121, 0.0041, 0.0202),
    test_samples=360,
    test_digest="d",
    readings=1,
    test_seeds=(5, 6, 7, 8, 9),
    default_on_test=(0.94, 0.95, 0.96),
)
PLAIN, REPORTED = "Expect 0.965 (0.951 to 0.978)", "The search saw 0.974."
EXPECTED = "Expect 0.969 (0.961 to 0.976)."
PAID = "Better than the default by 0.012 (0.004 to 0.020)."
HIGH, LOW = 9512, 9508


def verdict(
    corrected: Corrected | None,
    *confirmations: Confirmation,
    metric: str = "val_accuracy",
    reported: float | None = 0.9744,
    guess: int = 5000,
    unknown: str = "",
) -> StudyVerdict:
    """Returns a verdict on 10,000 validation samples, `guess` of which are of class 0."""
    classes = {"y": {"validation": {"0": guess, "1": 10_000 - guess}}}
    looked = DataFindings("made up", "d", {"validation": 10_000}, {}, classes)
    return StudyVerdict(metric, reported, corrected, unknown, confirmations, "", looked)


@pytest.mark.parametrize(
    ("guess", "text"),
    [
        (5000, PLAIN),
        (HIGH, f"Not shown to be better than always answering 0 (0.951). {PLAIN}"),
        (LOW, f"{PLAIN}; always answering 0 has an accuracy of 0.951"),
        (7000, PLAIN),
    ],
)
def test_expected_and_reported(guess: int, text: str) -> None:
    assert verdict(CORRECTED, guess=guess).text == f"{text}. {REPORTED}"
    # A confirmed value is of the test part, which has its own most frequent class.
    assert verdict(CORRECTED, CONFIRMED, guess=guess).text == f"{EXPECTED} {PAID} {REPORTED}"
    confirmed = replace(CONFIRMED, guess=ConstantGuess("1", 0.97))
    doubt = "Not shown to be better than always answering 1 (0.970)."
    assert (
        verdict(CORRECTED, confirmed, guess=guess).text == f"{doubt} {EXPECTED} {PAID} {REPORTED}"
    )
    # An evaluation of the best trial has the same rank, if there is no confirmation.
    on_test = Evaluation("digits", 7, 9, 360, "d", {"accuracy": Measured(0.9, 0.85, 0.94)})
    of_one = replace(verdict(CORRECTED, guess=guess), evaluation=on_test)
    assert of_one.text == "Expect 0.900 (0.850 to 0.940). The search saw 0.974."
    assert of_one.grounds == ("Measured on 360 test samples.",)
    assert replace(of_one, confirmations=(CONFIRMED,)).text.startswith(EXPECTED)


@pytest.mark.parametrize(
    ("metric", "low", "doubt"),
    [
        ("val_auc", 0.5, "Not shown to be better than chance (0.50)."),
        ("val_auc", 0.51, None),
        ("val_r2_score", -0.01, "Not shown to be better than always answering the mean (0.00)."),
        ("val_loss", -0.01, None),
    ],
)
def test_each_constant_that_a_champion_must_beat(
    metric: str, low: float, doubt: str | None
) -> None:
    estimate = Corrected(0.7, Interval(0.65, low, 0.8), 20, 40, 1000)
    found = verdict(estimate, metric=metric, reported=0.7, guess=5000)
    assert found.doubt == doubt
    assert found.sentences[0] == (doubt or f"Expect {estimate.estimate.text()}.")


def test_a_value_that_is_not_corrected_may_be_in_doubt_too() -> None:
    assert str(verdict(None, metric="val_auc", reported=0.48).doubt).endswith("chance (0.5000).")
    assert verdict(None, metric="val_auc", reported=0.52).doubt is None


def test_other_metrics() -> None:
    unknown = "The search saw 0.9744. What to expect is unknown: it lacks scores."
    assert verdict(None, unknown="it lacks scores").text == unknown
    # 0.0 would read as none at all.
    wide = Corrected(0.0136, Interval(0.11, 0.035, 1.26), 20, 114, 1000)
    text = verdict(wide, metric="val_loss", reported=0.0136).text
    assert text == "Expect 0.1 (0.0 to 1.3). The search saw 0.014."
    assert verdict(None, reported=None).text == "No trial has a value of val_accuracy yet."
    # The share of a class says nothing about an area under a curve, whose chance is a half.
    of_area = verdict(CORRECTED, metric="val_auc", guess=HIGH).text
    chance = "; always answering 0 has an AUC of 0.5 and an accuracy of 0.951."
    assert of_area == f"{PLAIN}{chance} {REPORTED}"


NONE = "No gain over the default shown:"
OVER = "Tuning did not pay: the gain over the default is"
WORSE = "Tuning did not pay: worse than the default by"
OF_LOSS = {"default_on_test": (0.5,), "direction": "min"}


@pytest.mark.parametrize(
    ("gain", "changes", "sentence"),
    [
        ((0.0121, 0.0041, 0.0202), {}, PAID),
        ((0.015, 0.0003, 0.0299), {}, "Better than the default by 0.0150 (0.0003 to 0.0299)."),
        # The default lacks 0.05, of which a tenth is worth having.
        ((0.001, -0.0031, 0.0051), {}, f"{NONE} 0.0010 (-0.0031 to 0.0051)."),
        ((0.001, -0.0029, 0.0049), {}, f"{OVER} 0.0010 (-0.0029 to 0.0049)."),
        ((-0.0121, -0.0202, -0.0041), {}, f"{WORSE} 0.012 (0.004 to 0.020)."),
        # A hundredth of a loss, or of a reward, is worth having.
        ((0.0, -0.1, 0.0049), OF_LOSS, f"{OVER} 0.000 (-0.100 to 0.005)."),
        ((0.0, -0.1, 0.0051), OF_LOSS, f"{NONE} 0.00 (-0.10 to 0.01)."),
        ((0.0, -0.1, 2.4), {"default_on_test": (250.0,)}, f"{OVER} 0.0 (-0.1 to 2.4)."),
    ],
)
def test_each_gain(gain: tuple[float, float, float], changes: Any, sentence: str) -> None:
    found = verdict(CORRECTED, replace(CONFIRMED, gain=Interval(*gain), **changes))
    first = (EXPECTED, sentence) if gain[1] > 0 else (sentence, EXPECTED)
    assert found.text == " ".join((*first, REPORTED))
    assert found.doubt == (None if gain[1] > 0 else sentence)
    # Nobody chose the lowest values of the ranges, so there is no gain over them.
    unchosen = replace(found, default="the lowest values of the ranges")
    assert (unchosen.text, unchosen.doubt) == (f"{EXPECTED} {REPORTED}", None)


BEST = {"default": Racer(7, (0.97,) * 4), "gain": None}
WITHOUT = {"confirmed": None, "gain": None}
OTHER = "Trial 12 was best under 4 new seeds."
OUTDATED = (
    "The last confirmation, 0.969 (0.961 to 0.976) by trial 7, is older than the best trial: "
    "confirm the study again."
)


@pytest.mark.parametrize(
    ("changes", "sentences"),
    [
        ({"gain": None, "default": None}, f"{EXPECTED} {REPORTED}"),
        ({"winner": 12}, f"{EXPECTED} {PAID} {OTHER} {REPORTED}"),
        (BEST, f"Tuning did not pay: the default was best. {EXPECTED} {REPORTED}"),
        # If there is no test part, the corrected value is the expected one.
        (WITHOUT, f"{PLAIN}. {REPORTED}"),
        ({**WITHOUT, "winner": 12}, f"{PLAIN} of trial 7. {OTHER} {REPORTED}"),
        # Better trials came since.
        ({"reported": 0.97}, f"{PLAIN}. {REPORTED} {OUTDATED}"),
    ],
)
def test_each_outcome_of_a_confirmation(changes: dict[str, Any], sentences: str) -> None:
    assert verdict(CORRECTED, replace(CONFIRMED, **changes)).text == sentences


@pytest.mark.parametrize(
    ("interval", "text"),
    [
        ((0.5, 0.1, 0.9), "0.50 (0.10 to 0.90)"),
        ((0.98765, 0.98701, 0.98829), "0.9877 (0.9870 to 0.9883)"),
        ((0.9999, 0.99, 1.0), "1.000 (0.990 to 1.000)"),
        ((1.0, 1.0, 1.0), "1.000 (1.000 to 1.000)"),
        ((0.31, 0.2, 1.9), "0.3 (0.2 to 1.9)"),
        ((12345.6, 11111.1, 13333.3), "12,300 (11,100 to 13,300)"),
        ((1.234e9, 1.2e9, 1.3e9), "1,230,000,000 (1,200,000,000 to 1,300,000,000)"),
        ((3.21e-5, 2.1e-5, 4.4e-5), "3.2e-05 (2.1e-05 to 4.4e-05)"),
        ((3.21e-4, 2.1e-4, 4.4e-4), "0.00032 (0.00021 to 0.00044)"),
        ((-0.0001, -0.03, 0.03), "0.000 (-0.030 to 0.030)"),
        ((2.0, 1.0, float("inf")), "2.000 (1.000 to infinity)"),
    ],
)  # fmt: skip
def test_digits_follow_the_width(interval: tuple[float, float, float], text: str) -> None:
    assert Interval(*interval).text() == text


@pytest.mark.parametrize(
    ("part", "text"),
    [
        (0, "0 %"), (0.000536, "0.1 %"), (0.0001, "under 0.1 %"), (0.0536, "5.4 %"),
        (0.123, "12.3 %"), (0.95, "95 %"), (0.9996, "over 99.9 %"), (0.999, "99.9 %"),
        (1 - 1e-16, "100 %"), (1, "100 %"),
    ],
)  # fmt: skip
def test_a_share_has_no_false_precision(part: float, text: str) -> None:
    assert share(part) == text


def test_large_numbers_have_no_exponent() -> None:
    texts = number(1234567.8), readable(1234567.8, 6), with_spread(20400.0, 1234.0)
    assert texts == ("1,234,568", "1234570", "20400 ± 1200")
    assert (number(1e15), readable(3.2e16), readable(1e-5)) == ("1e+15", "3.2e+16", "1e-05")


def test_the_grounds() -> None:
    choice = (
        "An estimate from 360 validation samples, corrected for the luck of being the best of 20 "
        "trials."
    )
    assert verdict(None).grounds == ()
    assert verdict(CORRECTED).grounds == (choice,)
    single = replace(CORRECTED, trials=1, note="3 trials have no scores.")
    assert verdict(single).grounds == (
        "An estimate from 360 validation samples, of one trial, so no choice made it look better.",
        "3 trials have no scores.",
    )
    untested = replace(CONFIRMED, confirmed=None, notes=("There is no test part.",))
    assert verdict(CORRECTED, untested).grounds == (
        choice,
        "2 trials trained again under up to 4 new seeds.",
        "There is no test part.",
    )
    interval = Interval(0.9, 0.8, 1.0, 0.975)
    again = replace(CONFIRMED, confirmed=interval, readings=2, notes=("A note.",))
    assert verdict(CORRECTED, CONFIRMED, again).grounds == (
        "Measured on 360 test samples, which no trial has seen: 2 trials trained again under up to "
        "4 new seeds; then the winner under 5 more.",
        "The intervals are of 97.5 %, as this test part was read 2 times.",
        "This is the last of 2 confirmations.",
        "A note.",
    )
