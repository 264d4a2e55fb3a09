"""What `show` prints fits a terminal of 80 columns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from handmade import trial_record
from rich.cells import cell_len
from scripted import describe

import kerastudy as ks
from studies.commands.output import definition_text, study_text
from tracking.history.study_history import StudyHistory
from tracking.records import TrialRecord
from tracking.store.folder import Store

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
        Store(Path("/store")), description, ("optuna:tpe",), "1", "2", "FINISHED", trials, ""
    )


def test_every_line_fits() -> None:
    text = study_text(history_of(*(trial(number) for number in range(9))))
    assert not [line for line in text.splitlines() if cell_len(line) > 80]
    text = definition_text(describe(space=SPACE, warnings=(WARNING,)))
    assert not [line for line in text.splitlines() if cell_len(line) > 80]


@pytest.mark.parametrize(
    ("value", "trials"), [("x", ["0", "1"]), ("x" * 30, ["0"]), ("x" * 99, ["0"])]
)
def test_as_many_of_the_best_trials_as_fit(value: str, trials: list[str]) -> None:
    records = [trial(n, **{"a long name for a hyperparameter 0": value}) for n in range(9)]
    lines = study_text(history_of(*records)).splitlines()
    (header,) = [line for line in lines if line.startswith("trial ")]
    assert header.split()[1:] == trials
    # Each column begins at one place.
    (state,) = [line for line in lines if line.startswith("state ")]
    assert state.split()[1:] == ["complete"] * len(trials)
    assert state.index("complete") == header.index("0")


def test_the_memory_of_a_trial_of_an_earlier_version_is_not_told_as_none() -> None:
    last = trial(9)
    assert last.result is not None
    last = replace(last, result=replace(last.result, peak_memory_bytes=2**30))
    assert "memory     the most 1.00 GiB (trial 9)\n" in study_text(history_of(trial(0), last))
