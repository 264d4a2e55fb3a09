"""The value of the default beside that to expect, and the one next step, from a study's record."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from handmade import (
    ENVIRONMENT,
    make_spec,
    record_confirmation,
    record_confirmed,
    record_study,
)
from planted import SPACE, Planted
from scripted import describe
from stores import history_at

from search_spaces import SearchSpace
from tracking.diagnosis import diagnose
from tracking.history import StudyHistory, StudyVerdict, read_study
from tracking.journal import Journal
from tracking.records import (
    CodeDescription,
    Corrected,
    DataDescription,
    DataFindings,
    Interval,
    Objective,
    Proposal,
    Racer,
)
from tracking.store import create_store
from tracking.study_summary import summary_of

DATA = DataDescription("made up", "", "d" * 64, {}, {"train": 2, "validation": 5000, "test": 9}, {})


# Trial 0 has 17 units.
TUNED = {"accuracy": lambda values: 0.9 + 0.05 * (values["units"] > 17)}
CUT = {**TUNED, "pruned": lambda curve, number: 2 if number == 0 else None}
LOWEST = SearchSpace(p.with_default(p.low) for p in SPACE if p.name in ("units", "dropout"))
FAILED = {"infeasible": lambda values: "NaN" if values["units"] == 17 else ""}
DEFAULT = "with the default values (trial 0)"


@pytest.fixture(autouse=True)
def usual_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands on studies in this store have no ``--store``."""
    monkeypatch.setenv("KERASTUDY_STORE", str(tmp_path / "store"))


def steps(history: StudyHistory) -> list[str]:
    return [command.text for command in summary_of(history).commands]


def planted(folder: Path, **changes: Any) -> StudyHistory:
    settings = {"code": CodeDescription("/s/a.py", "study", "", ""), **changes.pop("settings", {})}
    return Planted(**changes, settings=settings).history(folder / "store")


def test_a_sound_study_is_confirmed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    history = planted(tmp_path, settings={"data": DATA})
    assert steps(history) == ["kerastudy confirm planted"]
    monkeypatch.delenv("KERASTUDY_STORE")
    (step,) = summary_of(history).commands
    assert "sealed test part" in step.purpose and f"--store {history.store.root}" in step.text


@pytest.mark.parametrize(
    "changes",
    [
        {"accuracy": lambda values: 0.95 - 0.1 * np.log10(values["learning_rate"]) ** 2},
        # Too few trials are no fault of the study, but more of them go on with the same one.
        {"trials": 16},
    ],
    ids=["at the end of a range", "too few trials"],
)
def test_a_fault_comes_before_the_test_part_is_read(tmp_path: Path, changes: Any) -> None:
    history = planted(tmp_path, **changes)
    diagnosis = diagnose(history)
    assert diagnosis.command and steps(history) == [diagnosis.command]
    assert diagnosis.next.reasons[0][1] in summary_of(history).commands[0].purpose


def test_a_hint_alone_does_not_delay_the_confirmation(tmp_path: Path) -> None:
    def fast(accuracy: float, epochs: int, random: Any) -> Any:
        return sound(accuracy, 6, random)[[*range(6), *[5] * (epochs - 6)]]

    sound = Planted().curve
    history = planted(tmp_path, curve=fast, epochs=30)
    assert diagnose(history).command
    assert steps(history) == ["kerastudy confirm planted"]


@pytest.mark.parametrize(
    ("source", "samples"),
    [("", "new.npy"), ("/a folder/x.csv.gz", "new.csv"), ("x.parquet", "new.parquet")],
)
def test_a_confirmed_study_predicts_such_a_file(tmp_path: Path, source: str, samples: str) -> None:
    data = replace(DATA, source=source)
    journal = record_study(tmp_path / "store", "sure", [0.9], data=data)
    record_confirmed(journal, "sure", 0.9, 0.8, 0.95)
    journal.end("FINISHED", "trials", "all trials are done")
    (predict, _) = summary_of(history_at(tmp_path / "store", "sure")).commands
    assert predict.text == f"kerastudy predict sure --input {samples}"


GAINS = {"better": (0.02, 0.01, 0.03), "chance": (0.02, 0.01, 0.03), "default": (0.0, -0.1, 0.1)}


@pytest.mark.parametrize("lacks", GAINS)
def test_one_verdict_decides_what_is_said_first_done_next_and_found(
    tmp_path: Path, lacks: str
) -> None:
    """A confirmed AUC of 0.6 may be chance, or no better than the default."""
    code = CodeDescription("/s/a.py", "study", "", "")
    area = {"data": DATA, "code": code, "objective": Objective("val_auc", "max")}
    journal = record_study(tmp_path / "store", "sure", [0.7, 0.9], **area)
    race = (Racer(1, (0.8,)), Racer(0, (0.8,)))
    confirmed = Interval(0.6, 0.4 if lacks == "chance" else 0.55, 0.65)
    found = {"reported": 0.9, "confirmed": confirmed, "gain": Interval(*GAINS[lacks])}
    on_test = {"metric": "val_auc", "direction": "max", "default": Racer(-1, (0.8,))}
    record_confirmation(journal, "sure", race, **found, **on_test)
    journal.end("FINISHED", "trials", "all trials are done")
    summary = summary_of(history_at(tmp_path / "store", "sure"))
    (finding,) = [f for f in diagnose(summary.history).findings if f.check == "trial variance"]
    assert finding.title.startswith("Trial 1 is ") and summary.verdict.text == finding.verdict
    names = [command.name for command in summary.commands]
    if lacks == "better":
        assert finding.severity == "ok" and summary.expected[0].name == "expect"
        assert names == ["predict", "export"]
        return
    first = {
        "chance": "Not shown to be better than chance (0.50).",
        "default": "No gain over the default shown: 0.00 (-0.10 to 0.10).",
    }
    assert summary.expected[0].text == summary.verdict.sentences[0] == first[lacks]
    assert (finding.severity, finding.title) == ("problem", "Trial 1 is not shown to be better")
    assert names == (["data"] if lacks == "chance" else ["data", "predict", "export"])
    assert summary.commands[0].text == "kerastudy data /s/a.py"


def test_more_trials_are_no_step_for_what_may_be_chance(tmp_path: Path) -> None:
    classes = {"y": {"train": {"0": 99, "1": 1}}}
    looked = DataFindings("made up", DATA.digest, {}, {}, classes)
    history = planted(tmp_path, trials=16, settings={"data": DATA, "looked": looked})
    assert steps(history) == ["kerastudy data /s/a.py"] and diagnose(history).command == ""
    assert "sufficiency" in {f.check for f in diagnose(history).findings if f.command}


@pytest.mark.parametrize(
    ("changes", "status", "purpose"),
    [
        ({}, "KILLED", "Resume the interrupted launch. If it had more options, add them"),
        ({"infeasible": lambda v: "NaN"}, "FINISHED", "no trial has a value"),
    ],
)
def test_a_launch_without_an_end_or_a_value_is_launched_again(
    tmp_path: Path, changes: Any, status: str, purpose: str
) -> None:
    history = replace(planted(tmp_path, trials=3, **changes), status=status)
    (step,) = summary_of(history).commands
    assert step.name == "launch" and purpose in step.purpose


@pytest.mark.parametrize(
    ("changes", "expected", "default", "gain"),
    [
        (TUNED, 0.97, DEFAULT, "Tuning gains about 0.0"),
        (TUNED, 0.5, DEFAULT, "Tuning has gained nothing so far."),
        ({}, 0.9, DEFAULT, "Tuning has gained nothing so far."),
        # Without `default=`, Keras Tuner's ranges begin with their lowest values.
        ({**TUNED, "space": LOWEST}, 0.97, "with the lowest values of the ranges (trial 0)", ""),
        # The value of a training that was cut says nothing about a gain.
        (CUT, 0.97, "given up at epoch 2", ""),
        ({"settings": {"try_defaults": False}}, 0.97, "", ""),
        (FAILED, 0.97, "NaN", ""),
    ],
)
def test_before_a_confirmation_the_default_and_the_gain_are_said(
    tmp_path: Path, changes: Any, expected: float, default: str, gain: str
) -> None:
    history = planted(tmp_path, **{"trials": 3, "settings": {"try_defaults": True}, **changes})
    interval = Interval(expected, expected - 0.01, expected + 0.01)
    corrected = Corrected(history.best.value, interval, 3, 5000, 1000)
    named = history.description.default_values
    verdict = StudyVerdict("val_accuracy", history.best.value, corrected, default=named)
    expectation = summary_of(history, verdict).expectation
    assert expectation is not None and expectation.value == f"{expected:.3f}"
    assert expectation.default.endswith(default) and expectation.gain.startswith(gain)
    assert bool(expectation.gain) == bool(gain) and bool(expectation.default) == bool(default)


def test_a_trial_that_a_kill_cut_off_does_not_run(tmp_path: Path) -> None:
    store = create_store(tmp_path / "store")
    with Journal.begin(store.new_folder("cut"), describe(name="cut", trials=3)) as cut:
        cut.begin_trial(make_spec(), Proposal(0, make_spec().values), ENVIRONMENT)

    def trials() -> str:
        facts = {fact.name: fact.text for fact in summary_of(read_study(store, "cut")).facts}
        return facts["trials"]

    assert trials() == "1 of 3: 1 cut off by a kill, to be resumed"
    with store.lock_study(read_study(store, "cut").folder, "cut"):
        assert trials() == "1 of 3: 1 running"
