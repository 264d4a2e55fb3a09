"""What `show` and `reproduce` print fits the terminal, and can't control it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from handmade import trial_record
from rich.cells import cell_len
from scripted import describe

import kerastudy as ks
from studies.champion import Reproduction
from studies.commands import definition_text, reproduction_text, study_text, tell
from tracking.history import StudyHistory, StudyVerdict
from tracking.records import Corrected, Interval, TrialRecord
from tracking.store import Store

LONG = "a long name for a hyperparameter"
SPACE = ks.SearchSpace(
    ks.learning_rate(),
    ks.optimizer(),
    ks.initializer(),
    ks.Choice("활성화 함수", ["relu", "tanh"]),
    *(ks.Choice(f"{LONG} {n}", ["one", "another"]) for n in range(9)),
)
WARNING = "the data is not the same each time that it is read, and is trained on as it comes"


def trials(count: int = 9, **values: object) -> list[TrialRecord]:
    records = [trial_record(number, 0.123456789 + number) for number in range(count)]
    return [
        replace(
            record,
            spec=replace(record.spec, values={**SPACE.defaults(), **values}),
            # Nothing is looked up in a store.
            result=replace(record.result, unsaved="its class takes what can't be written"),
        )
        for record in records
        if record.result is not None
    ]


def text_of(records: list[TrialRecord], **options: Any) -> str:
    description = describe(space=SPACE, warnings=(WARNING,))
    place = (Store(Path("/store")), Path("/store/scripted"), description)
    history = StudyHistory(*place, "KILLED", tuple(records))
    corrected = Corrected(0.123, Interval(0.1312, 0.1199, 0.1403), 9, 360, 1000, "A note.")
    verdict = StudyVerdict("val_loss", 0.12346, corrected)
    curve = {1: 0.5, 2: 0.7, 3: 0.6}
    return study_text(history, curve=lambda _: curve, verdict=verdict, **options)


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_every_line_fits(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    options: list[dict[str, Any]] = [{}, {"top": 9}, {"every": True}]
    texts = [text_of(trials(), **each) for each in options]
    assert all("▁█▅" in text for text in texts)
    longer = replace(IDENTICAL, study="a study of a long name" * 3, identical=False)
    texts += [definition_text(describe(space=SPACE, warnings=(WARNING,)))]
    texts += [reproduction_text(longer)] if columns >= 80 else []
    lines = [line for text in texts for line in text.splitlines() if "kerastudy " not in line]
    assert not [line for line in lines if cell_len(line) > columns]


def test_the_verdict_comes_first() -> None:
    assert text_of(trials()).splitlines()[:7] == [
        "study      scripted",
        "expect     0.131 (0.120 to 0.140 at 95 %): loss of trial 0 on new data",
        "seen       trial 0: val_loss 0.123457 at epoch 1 of 3, the best of 9 and so",
        "           partly luck.",
        "based on   An estimate from 360 validation samples, corrected for the luck of",
        "           being the best of 9 trials. A note.",
        "",
    ]


@pytest.mark.parametrize(
    ("value", "top", "numbers"),
    [
        ("x", None, [["0", "1"]]),
        ("x" * 30, None, [["0"]]),
        ("x" * 99, None, [["0"]]),
        # More of the best trials stand below each other.
        ("x", 5, [["0", "1"], ["2", "3"], ["4"]]),
    ],
)
def test_as_many_of_the_best_trials_as_fit(
    monkeypatch: pytest.MonkeyPatch, value: str, top: int | None, numbers: list[list[str]]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = text_of(trials(**{f"{LONG} 0": value}), top=top).splitlines()
    headers = [line for line in lines if line.startswith("trial ")]
    assert [header.split()[1:] for header in headers] == numbers
    # Each column begins at one place.
    states = [line for line in lines if line.startswith("state ")]
    assert [state.index("complete") for state in states] == [
        header.index(first) for header, (first, *_) in zip(headers, numbers, strict=True)
    ]


def test_on_a_wide_terminal_each_trial_has_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "500")
    rows = re.findall(r"^(\d) +0\.|^(\d) +\d\.", text_of(trials(), top=5), re.MULTILINE)
    assert ["".join(row) for row in rows] == list("01234")


def test_names_and_values_control_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tell("kerastudy show 'a\x1b[2J\u202eb'\nthe next line")
    assert capsys.readouterr().out == "kerastudy show 'a\\x1b[2J\\u202eb'\nthe next line\n"
    # With colours, `tell` would show their codes.
    monkeypatch.setenv("FORCE_COLOR", "1")
    records = trials(2, **{f"{LONG} 0": "\x1b[31m\nred[/red]\u202e"})
    text = text_of(records) + text_of(records, every=True)
    assert "\x1b" not in text and "\u202e" not in text
    assert r"\x1b[31m\nred[/red]" in text


DIGEST = "0123456789abcdef" * 4
IDENTICAL = Reproduction("digits", 3, True, 2, 0.0, DIGEST, DIGEST, (), (), "plain")


def test_weights_are_named_or_said_to_be_missing() -> None:
    assert "2 epochs, weights 0123456789abcdef…" in " ".join(reproduction_text(IDENTICAL).split())
    none = replace(IDENTICAL, recorded_sha256="", reproduced_sha256="")
    assert "2 epochs, no weights to compare" in " ".join(reproduction_text(none).split())
    other = replace(none, identical=False, max_difference=0.5, reproduced_sha256=DIGEST)
    *_, last = reproduction_text(other).splitlines()
    assert last.split() == "no weights recorded, weights 0123456789abcdef… now".split()
