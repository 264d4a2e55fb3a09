"""What a person sees of a study: while it runs, at a terminal and in a log, and by commands."""

import contextlib
import io
import os
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from handmade import make_spec, trial_record
from rich.cells import cell_len
from rich.console import Console
from scripted import describe
from stores import history_at

import kerastudy as ks
from studies import printable, wrapped
from studies.champion import Reproduction
from studies.commands import definition_text, reproduction_text, study_text, tell
from studies.progress import LiveProgress, Progress, make_progress
from studies.terminal_text import sparkline
from tracking.history import StudyHistory, StudyVerdict
from tracking.records import (
    BestEpoch,
    Corrected,
    EpochResult,
    Interval,
    Objective,
    TrialRecord,
    TrialResult,
)
from tracking.store import Store

ACCURACY = Objective("val_정확도", "max")


def on_terminal(columns: int, height: int = 24) -> tuple[LiveProgress, io.StringIO]:
    """Returns a display on a terminal of this width, and what it gets."""
    file = io.StringIO()
    size: Any = {"width": columns, "height": height}
    return LiveProgress(Console(file=file, force_terminal=True, color_system=None, **size)), file


def lines_of(file: io.StringIO) -> list[str]:
    """Returns all that was ever drawn, line by line, without the codes of the terminal."""
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\r", "\n", file.getvalue())
    return [line.rstrip() for line in text.splitlines() if line.strip()]


def ended(number: int, epochs: int, value: float, state: str = "complete") -> TrialResult:
    best = BestEpoch(1, value, {ACCURACY.metric: value})
    return TrialResult(number, state, epochs, best, seconds=61.23)  # type: ignore[arg-type]


@pytest.mark.parametrize("columns", [40, 60, 80, 200])
def test_a_terminal_shows_running_trials_the_bar_and_ended_trials(columns: int) -> None:
    live, file = on_terminal(columns)
    live.wait("loading my_study.py")
    live.begin(replace(describe(trials=100), objective=ACCURACY), 41, 100, (7, 0.9))
    for number in (41, 42, 43):
        live.trial_begins(make_spec(number, epochs=17, objective=ACCURACY))
    for epoch, value in enumerate((0.5, 0.7, 0.91, 0.6), start=1):
        live.epoch_ended(EpochResult(41, epoch, {ACCURACY.metric: value}, 1.0))
    live._live.refresh()
    live.trial_ended(ended(42, 2, 0.512345678, "pruned"), (7, 0.9))
    failed = TrialResult(43, "infeasible", reason="\x1b[31mred[/red] [bold]" + "긴 이유 " * 50)
    live.trial_ended(failed, (7, 0.9))
    live.trial_ended(ended(41, 17, 0.91), (41, 0.91))
    live.wait("stopping after the present epoch; press Ctrl-C again to stop at once")
    live.end()
    rows = lines_of(file)
    assert max(map(cell_len, rows)) <= columns
    text = "\n".join(rows)
    # Each trial has one line, whatever its reason is.
    assert not [line for line in rows if line.startswith("긴 이유")]
    assert "43/100" in text and "━" in text and "loading my_study.py" in text
    assert "best 0.9 #7" in text or columns < 60
    assert "no value" not in text and (r"\x1b[31" in text or columns < 60)
    if columns >= 80:
        assert "▁▄█▃          epoch  4/17  val_정확도 0.6, best 0.91 at 3" in text
        assert "0.512346 (epoch 1), pruned at 2 of 17  1 min 1 s" in text
        assert re.search(r"━ 44/100  best 0\.91 #41  \d+/min  left \d+ s", text)
        assert "0.91 (epoch 1 of 17)  1 min 1 s  best so far" in text


@pytest.mark.parametrize(("term", "kind"), [("xterm", LiveProgress), ("dumb", Progress)])
def test_a_terminal_that_can_not_erase_lines_gets_plain_ones(
    monkeypatch: pytest.MonkeyPatch, term: str, kind: type[Progress]
) -> None:
    ours, theirs = os.openpty()
    monkeypatch.setenv("TERM", term)
    with open(theirs, "w") as terminal, contextlib.redirect_stderr(terminal):
        assert type(make_progress()) is kind
    os.close(ours)


def test_more_running_trials_than_lines_are_counted() -> None:
    live, file = on_terminal(80, height=10)
    live.begin(describe(trials=100), 0, 100)
    for number in range(20):
        live.trial_begins(make_spec(number))
    live.end()
    assert "and 14 more" in lines_of(file)


def test_time_after_the_last_trial_is_no_part_of_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    live, _ = on_terminal(80)
    live.begin(describe(trials=10), 8, 10)
    live.trial_begins(make_spec(8))
    live.trial_begins(make_spec(9))
    now += 10
    live.trial_ended(ended(8, 1, 0.5), (8, 0.5))
    assert "9/10  best 0.5 #8  6.0/min  left 10 s" in live._bar(80).plain
    now += 20
    live.trial_ended(ended(9, 1, 0.4), (9, 0.4))
    now += 100
    assert live._bar(80).plain.endswith("10/10  best 0.4 #9  4.0/min")


def test_the_line_of_a_trial_fits_into_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    plain = Progress()
    best = BestEpoch(100, 0.958333, {"val_loss": 0.958333})
    plain.begin(describe(trials=100), 41, 100)
    plain.trial_begins(make_spec(42, epochs=100))
    plain.trial_ended(TrialResult(41, "complete", 100, best, seconds=1.0), (12, 0.958333))
    plain.trial_ended(TrialResult(42, "pruned", 100, best, seconds=1.0), (12, 0.958333))
    plain.begin(describe(trials=100), 100, 100)
    output = capsys.readouterr().err
    assert "all trained before" in " ".join(output.split())
    lines = [line for line in output.splitlines() if line.startswith("trial")]
    assert len(lines) == 2 and max(map(len, lines)) <= 80
    assert re.fullmatch(r"trial +41 +42/100 .* best 0\.958333 #12  left \d+ s", lines[0])
    assert "(epoch 100), pruned at 100 of 100" in lines[1]


def test_a_curve_is_drawn_from_its_lowest_to_its_highest_value() -> None:
    assert sparkline([0.0, 7.0, 3.0], 12) == "▁█▄"
    assert sparkline([1.0, float("nan"), 2.0, float("inf")], 12) == "▁ █ "
    assert sparkline([5.0, 5.0], 12) == "▄▄"
    assert sparkline([], 12) == ""
    assert sparkline([*range(100)], 10) == sparkline([*range(10)], 10)


def test_lines_count_wide_letters_twice_and_keep_no_control_characters() -> None:
    lines = wrapped("reason     " + "정확도가 떨어졌다 " * 9 + "\x1b]0;title\x07 \u202ereversed")
    assert max(map(cell_len, lines)) <= 80 and len(lines) > 1
    assert r"\x1b]0;title\x07" in lines[-1] and r"\u202e" in lines[-1]
    assert printable("a\nb\t[red]") == r"a\nb\t[red]"


def test_a_command_at_the_end_of_a_line_is_not_broken() -> None:
    note = "note: trial 13 is not compared with model.fit yet"
    command = "kerastudy reproduce digits --trial 13"
    assert wrapped(f"{note}: {command}", indent=2, columns=80) == [f"{note}:", f"  {command}"]
    assert wrapped(f"look: {command}", columns=80) == [f"look: {command}"]
    # A command that fits in no line stays whole, too.
    assert wrapped(f"{note}: {command}", indent=2, columns=30)[-1] == f"  {command}"


def test_lines_fit_and_what_is_indented_stays_whole(capsys: pytest.CaptureFixture[str]) -> None:
    path = "/a/long/path" * 8
    Progress().say(f"warning: {'trial 3 is not what model.fit comes to ' * 3}in {path}")
    Progress().say(f"    {path} {path}")
    *lines, last, indented = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and all(len(line) <= 80 for line in lines)
    assert (last, indented) == (f"  {path}", f"    {path} {path}")


def test_a_study_goes_on_when_its_terminal_is_gone(tmp_path: Path) -> None:
    reads, writes = os.pipe()
    script = f"""
import os, sys
sys.path[:0] = {sys.path!r}
from scripted import ScriptedExecutor, describe, run_study
from studies.progress import make_progress

def before(spec):
    if spec.number == 1:
        os.write(1, b"hang up\\n")
        sys.stdin.readline()

executor = ScriptedExecutor(describe(trials=4), before)
run_study(executor, store={str(tmp_path / "store")!r}, progress=make_progress())
"""
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": writes}
    process = subprocess.Popen([sys.executable, "-c", script], text=True, **pipes)
    os.close(writes)
    assert process.stdout.readline() == "hang up\n"
    os.close(reads)
    process.communicate("on\n", timeout=60)
    history = history_at(tmp_path / "store", "scripted")
    assert process.returncode == 0
    assert (history.status, history.counts()["complete"]) == ("FINISHED", 4)


# What `show` and `reproduce` print fits the terminal, and can't control it.

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
            # Because of this text, nothing is looked up in a store.
            result=replace(record.result, unsaved="its class takes what can't be written"),
        )
        for record in records
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
    texts = [text_of(trials(), **option) for option in options]
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
        "seen       trial 0: val_loss 0.123457 at epoch 1 of 1, the best of 9 and so",
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
    # If there were colours, `tell` would show their codes.
    monkeypatch.setenv("FORCE_COLOR", "1")
    records = trials(2, **{f"{LONG} 0": "\x1b[31m\nred[/red]\u202e"})
    text = text_of(records) + text_of(records, every=True)
    assert "\x1b" not in text and "\u202e" not in text
    assert r"\x1b[31m\nred[/red]" in text


DIGEST = "0123456789abcdef" * 4
IDENTICAL = Reproduction("digits", 3, True, 2, DIGEST, DIGEST, (), (), "plain")


def test_weights_are_named_or_said_to_be_missing() -> None:
    assert "2 epochs, weights 0123456789abcdef…" in " ".join(reproduction_text(IDENTICAL).split())
    none = replace(IDENTICAL, recorded_sha256="", reproduced_sha256="")
    assert "2 epochs, no weights to compare" in " ".join(reproduction_text(none).split())
    other = replace(none, identical=False, reproduced_sha256=DIGEST)
    *_, last = reproduction_text(other).splitlines()
    assert last.split() == "no weights recorded, weights 0123456789abcdef… now".split()
