"""What `show` and `reproduce` print fits the terminal, and can't control it."""

from __future__ import annotations

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

SPACE = ks.SearchSpace(
    ks.learning_rate(),
    ks.optimizer(),
    ks.initializer(),
    ks.Choice("활성화 함수", ["relu", "tanh"]),
    *(ks.Choice(f"a long name for a hyperparameter {n}", ["one", "another"]) for n in range(9)),
)
WARNING = "the data is not the same each time that it is read, and is trained on as it comes"


def trial(number: int, **values: object) -> TrialRecord:
    made = trial_record(number, 0.123456789 + number)
    assert made.result is not None
    # Nothing is looked up in a store.
    result = replace(made.result, unsaved="its class takes what can't be written into a file, so")
    spec = replace(made.spec, values={**SPACE.defaults(), **values})
    return replace(made, spec=spec, result=result)


def history_of(*trials: TrialRecord) -> StudyHistory:
    description = describe(space=SPACE, warnings=(WARNING,))
    return StudyHistory(
        Store(Path("/store")),
        Path("/store/scripted"),
        description,
        ("optuna:tpe",),
        1,
        "FINISHED",
        trials,
    )


def text_of(history: StudyHistory, **wanted: Any) -> str:
    corrected = Corrected(0.123, Interval(0.1312, 0.1199, 0.1403), 9, 360, 1000, "A note.")
    verdict = StudyVerdict("val_loss", 0.12346, corrected)
    return study_text(history, curve=lambda _: {1: 0.5, 2: 0.7, 3: 0.6}, verdict=verdict, **wanted)


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_every_line_fits(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    history = history_of(*(trial(number) for number in range(9)))
    for wanted in ({}, {"top": 9}, {"every": True}):
        text = text_of(history, **wanted)  # type: ignore[arg-type]
        lines = [line for line in text.splitlines() if "kerastudy " not in line]
        assert not [line for line in lines if cell_len(line) > columns]
        assert "▁█▅" in text
    text = definition_text(describe(space=SPACE, warnings=(WARNING,)))
    assert not [line for line in text.splitlines() if cell_len(line) > columns]


def test_the_verdict_comes_first() -> None:
    lines = text_of(history_of(*(trial(number) for number in range(9)))).splitlines()
    assert lines[:5] == [
        "study      scripted",
        "best       trial 0: val_loss 0.123457 at epoch 1 of 3",
        "verdict    Reported 0.123. Expect 0.131 (0.120 to 0.140).",
        "rests on   Corrected for the choice among 9 trials, on 360 validation samples. A",
        "           note.",
    ]


@pytest.mark.parametrize(
    ("value", "trials"), [("x", ["0", "1"]), ("x" * 30, ["0"]), ("x" * 99, ["0"])]
)
def test_as_many_of_the_best_trials_as_fit(value: str, trials: list[str]) -> None:
    records = [trial(n, **{"a long name for a hyperparameter 0": value}) for n in range(9)]
    lines = text_of(history_of(*records)).splitlines()
    (header,) = [line for line in lines if line.startswith("trial ")]
    assert header.split()[1:] == trials
    # Each column begins at one place.
    (state,) = [line for line in lines if line.startswith("state ")]
    assert state.split()[1:] == ["complete"] * len(trials)
    assert state.index("complete") == header.index("0")


def test_more_of_the_best_trials_stand_below_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    records = [trial(n) for n in range(9)]
    lines = text_of(history_of(*records), top=5).splitlines()
    headers = [line.split()[1:] for line in lines if line.startswith("trial ")]
    assert headers == [["0", "1"], ["2", "3"], ["4"]]
    monkeypatch.setenv("COLUMNS", "500")
    lines = text_of(history_of(*records), top=5).splitlines()
    # All hyperparameters fit: a row for each trial.
    start = next(n for n, line in enumerate(lines) if line.startswith("trial  val_loss"))
    assert [line.split()[0] for line in lines[start + 1 : start + 6]] == list("01234")


def test_what_commands_print_controls_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    tell("kerastudy show 'a\x1b[2J\u202eb'\nthe next line")
    assert capsys.readouterr().out == "kerastudy show 'a\\x1b[2J\\u202eb'\nthe next line\n"


def test_names_and_values_control_no_terminal() -> None:
    bad = "\x1b[31m\nred[/red]\u202e"
    trials = [trial(n, **{"a long name for a hyperparameter 0": bad}) for n in range(2)]
    text = text_of(history_of(*trials)) + text_of(history_of(*trials), every=True)
    assert "\x1b" not in text and "\u202e" not in text
    assert r"\x1b[31m\nred[/red]\u202e"[:20] in text


DIGEST = "0123456789abcdef" * 4
IDENTICAL = Reproduction("digits", 3, True, 2, 0.0, DIGEST, DIGEST, (), (), "plain", "optuna:tpe")


def test_weights_are_named_or_said_to_be_missing() -> None:
    assert "2 epochs, weights 0123456789abcdef…" in " ".join(reproduction_text(IDENTICAL).split())
    none = replace(IDENTICAL, recorded_sha256="", reproduced_sha256="")
    assert "2 epochs, no weights to compare" in " ".join(reproduction_text(none).split())
    other = replace(none, identical=False, max_difference=0.5, reproduced_sha256=DIGEST)
    *_, last = reproduction_text(other).splitlines()
    assert last.split() == "no weights recorded, weights 0123456789abcdef… now".split()


def test_lines_fit() -> None:
    longer = replace(IDENTICAL, study="a study of a long name" * 3, identical=False)
    assert all(len(line) <= 80 for line in reproduction_text(longer).splitlines())


def test_a_terminal_with_colors_gets_no_codes_in_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """`tell` escapes what controls a terminal, and would show them."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b" not in text_of(history_of(trial(0), trial(1)))
