"""The text on the study's page in the MLflow UI."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace

from handmade import ENVIRONMENT, losses, make_spec, record_trial, trial_record
from scripted import describe

import kerastudy as ks
from search_spaces import SearchSpace
from tracking.history.study_history import StudyHistory, read_study
from tracking.history.summary import shell_commands, study_note
from tracking.runs.study_runs import StudyRuns
from tracking.store.folder import Store

SPACE = SearchSpace(
    ks.Float("rate", 0.0, 1.0),
    ks.Choice("kind|of", ["a|b", "`c`", "two\nlines"]),
    ks.Choice("off", [None, True]),
)


def values_of(kind: str) -> dict[str, object]:
    return {"rate": 0.123456789, "kind|of": kind, "off": None}


def study(store: Store, name: str, trials: int = 3, **settings: object) -> StudyHistory:
    described = describe(name=name, space=SearchSpace(ks.Float("rate", 0.0, 1.0)), **settings)
    runs = StudyRuns.create(store, described, ENVIRONMENT)
    for number in range(trials):
        spec = make_spec(number, values={"rate": number / 100})
        record_trial(runs, spec, losses(0.9, 0.5 - number / 100, 0.8))
    return read_study(store, name)


def table(note: str) -> list[list[str]]:
    """The cells of the table in a note, as Markdown reads them."""
    lines = [line for line in note.splitlines() if line.startswith("|")]
    return [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))] for line in lines
    ]


def test_it_says_what_and_how_and_which_is_best(shared_store: Store) -> None:
    note = study_note(study(shared_store, "손글씨 연구 1", notes="Why."), "all 3 trials are done")
    assert "손글씨 연구 1" in note
    assert "optuna:tpe" in note
    assert "min `val_loss`" in note
    assert "3 complete" in note
    assert "all 3 trials are done" in note
    assert "Why." in note
    assert "trial 2, val_loss 0.48 at epoch 2" in note


def test_it_has_a_table_of_the_best_first(shared_store: Store) -> None:
    note = study_note(study(shared_store, "a table", trials=12), "done")
    header, rule, *rows = table(note)
    assert header == ["trial", "value", "epoch", "rate"]
    assert set("".join(rule)) == {"-"}
    assert len(rule) == len(header)
    assert [row[0] for row in rows] == [str(number) for number in range(11, 1, -1)]
    assert rows[0] == ["11", "0.39", "2", "0.11"]


def test_it_has_commands_that_a_shell_reads(shared_store: Store) -> None:
    """Quoted, since names and folders may have spaces."""
    name = "it's 손글씨 1"
    history = study(shared_store, name)
    note = study_note(history, "done")
    for command in shell_commands(history, history.trials[0]):
        words = shlex.split(command)
        assert words[0] == "kerastudy"
        assert words[2] == name
        assert words[words.index("--store") + 1] == str(shared_store.root)
    assert history.best is not None
    for command in shell_commands(history, history.best):
        assert command in note


def test_commands_name_the_engine_where_there_are_several(shared_store: Store) -> None:
    for engine in ("optuna:tpe", "optuna:random"):
        history = study(shared_store, "by two", engine=engine)
    assert history.best is not None
    command = shell_commands(history, history.best)[1]
    assert "--engine optuna:random" in command


def with_kinds(store: Store, name: str, *kinds: str) -> StudyHistory:
    """A study whose trials, made by hand, have these values."""
    StudyRuns.create(store, describe(name=name, space=SPACE, notes="a | b"), ENVIRONMENT)
    trials = []
    for number, kind in enumerate(kinds):
        trial = trial_record(number, number / 10)
        trials.append(replace(trial, spec=replace(trial.spec, values=values_of(kind))))
    return replace(read_study(store, name), trials=tuple(trials))


def test_pipes_and_quotes_do_not_break_the_table(shared_store: Store) -> None:
    rows = table(study_note(with_kinds(shared_store, "pipes", "a|b", "`c`"), "done"))
    assert len(rows) == 2 + 2
    assert {len(row) for row in rows} == {6}
    assert rows[0][4] == "kind\\|of"
    assert rows[2][4] == "a\\|b"
    assert rows[2][5] == "null"
    assert "`" not in rows[3][4]


def test_newlines_do_not_break_the_table(shared_store: Store) -> None:
    rows = table(study_note(with_kinds(shared_store, "newlines", "two\nlines", "a|b"), "done"))
    assert len(rows) == 2 + 2
    assert {len(row) for row in rows} == {6}


def test_a_study_without_a_value_says_so(shared_store: Store) -> None:
    history = study(shared_store, "nothing yet", trials=0)
    note = study_note(history, "interrupted; launch again to resume")
    assert "No trial has a value yet" in note
    assert "interrupted" in note
    assert table(note) == []
