"""Recorded studies are found, and read back as they were."""

import hashlib
import math
import sqlite3
import unicodedata
from contextlib import closing
from dataclasses import replace

import pytest
from handmade import ENVIRONMENT, losses, make_result, make_spec, record_trial
from scripted import SPACE, describe

from search_spaces import StoreError, StudyNameError, StudyNotFoundError
from tracking.history import find_study, read_code, read_study, study_names
from tracking.journal import Journal
from tracking.records import CodeDescription, DataDescription
from tracking.store import Store, check_study_name

CURVE = losses(0.5, 0.25, 0.75)
# A number that takes all of its digits.
VALUES = {"rate": 0.1 / 3, "units": 8, "kind": "b", "momentum": 0.1 + 0.2}
STATES = {0: "complete", 1: "pruned", 2: "infeasible", 3: "interrupted", 4: "running"}
DATA = DataDescription(
    "꽃 irises",
    "a file of mine",
    "d" * 64,
    {"train": "1" * 64, "validation": "2" * 64, "test": "3" * 64},
    {"train": 90, "validation": 30, "test": 30},
    {"classes": 3, "shapes": {"train": {"x": [90, 4]}}},
)
SOURCE = "print('안녕')\n"
DIGEST = hashlib.sha256(SOURCE.encode()).hexdigest()
CODE = CodeDescription("/home/me/내 연구.py", "study", SOURCE, DIGEST)


def begin(store: Store, name: str, **settings: object) -> Journal:
    folder = store.folder_of(name) or store.new_folder(name)
    return Journal.begin(folder, describe(name=name, **settings))


def test_a_definition_and_a_trial_of_each_state_are_read_back(shared_store: Store) -> None:
    settings: dict[str, object] = {"data": DATA, "code": CODE, "notes": "줄 1\n줄 2", "keep": None}
    journal = begin(shared_store, "one of each", **settings)
    for number, state in STATES.items():
        engine_state = {"sampler": f"state {number}", "empty": ""}
        spec = make_spec(number, values=VALUES)
        record_trial(journal, spec, CURVE, state, engine_state)  # type: ignore[arg-type]
    history = read_study(shared_store, "one of each")
    description = describe(name="one of each", **settings)
    assert history.description == replace(description, code=replace(CODE, source=""))
    assert history.description.space.digest == SPACE.digest
    assert read_code(history, CODE.digest).source == CODE.source
    assert read_code(history, "e" * 64).source == ""
    for number, state in STATES.items():
        trial = history.trial(number)
        assert (trial.spec, trial.state) == (make_spec(number, values=VALUES), state)
        assert (trial.environment, trial.code_digest) == (ENVIRONMENT, CODE.digest)
        assert trial.engine_state == {"sampler": f"state {number}", "empty": ""}
        assert history.curve(trial) == dict(enumerate(CURVE, start=1))
        result = None if state == "running" else make_result(trial.spec, CURVE, trial.state)
        assert trial.result == result
    assert history.counts() == dict.fromkeys(STATES.values(), 1)
    with pytest.raises(StudyNotFoundError, match="no trial 99; it has 0 to 4"):
        history.trial(99)
    journal.end_left_over()
    after = read_study(shared_store, "one of each")
    assert [t.state for t in after.trials] == [*list(STATES.values())[:4], "interrupted"]
    assert [t.result for t in after.trials] == [t.result for t in history.trials]


def test_a_number_that_is_not_finite_is_in_no_curve(shared_store: Store) -> None:
    curve = [
        {"val_loss": 0.5, "loss": math.nan, "up": math.inf},
        {"val_loss": math.inf, "loss": 0.25, "up": -math.inf},
        {"val_loss": math.nan, "loss": 0.125, "up": 1.0},
    ]
    record_trial(begin(shared_store, "not finite"), make_spec(), curve)
    history = read_study(shared_store, "not finite")
    trial = history.trial(0)
    assert history.curve(trial) == {
        1: {"val_loss": 0.5},
        2: {"loss": 0.25},
        3: {"loss": 0.125, "up": 1.0},
    }
    assert (trial.best.epoch, trial.best.value) == (1, 0.5)
    assert math.isnan(trial.best.metrics["loss"]) and trial.best.metrics["up"] == math.inf


def test_the_last_attempt_counts(shared_store: Store) -> None:
    journal = begin(shared_store, "attempts")
    record_trial(journal, make_spec(0), losses(0.1), "interrupted")
    record_trial(journal, make_spec(1), losses(0.4))
    second = record_trial(journal, make_spec(0, attempt=2), losses(0.3))
    history = read_study(shared_store, "attempts")
    assert history.counts()["complete"] == len(history.trials) == 2
    assert (history.trial(0).uuid, history.trial(0).spec.attempt) == (second, 2)
    assert history.best == history.trial(0)


@pytest.mark.parametrize("text", ["{", "[]", '{"number": 3, "st'])
def test_a_record_that_cannot_be_read_is_told(new_store: Store, text: str) -> None:
    journal = begin(new_store, "lost")
    record_trial(journal, make_spec(0), losses(0.5))
    journal.close()
    for table, column in (("trials", "result"), ("study", "definition")):
        with closing(sqlite3.connect(journal.folder / "journal.db")) as database, database:
            database.execute(f"UPDATE {table} SET {column} = ?", (text,))
        with pytest.raises(StoreError, match=r"cannot be read.*from a backup"):
            read_study(new_store, "lost")


# Finding studies.


def test_a_study_is_where_its_journal_says(new_store: Store) -> None:
    """Folders may be copied, moved, sent or damaged. Other folders may be there too."""
    with pytest.raises(StudyNotFoundError, match=r"has no study 'digits'. It is empty"):
        read_study(new_store, "digits")
    for name in ("digits", "other", "damaged"):
        begin(new_store, name).close()
    assert study_names(new_store) == ["damaged", "other", "digits"]
    (new_store.root / "digits").rename(new_store.root / "from grace")
    (new_store.root / "other").rename(new_store.root / "digits")
    (new_store.root / "damaged" / "journal.db").write_bytes(b"no database " * 99)
    (new_store.root / "theirs").mkdir()
    (new_store.root / "theirs" / "notes.txt").write_text("mine")
    assert read_study(new_store, "digits").folder.name == "from grace"
    assert read_study(new_store, "other").folder.name == "digits"
    assert study_names(new_store) == ["other", "digits"]
    with pytest.raises(StoreError, match="is damaged"):
        read_study(new_store, "damaged")
    with pytest.raises(StudyNotFoundError, match="'digits'"):
        read_study(new_store, "digitz")
    assert find_study(new_store, "theirs") is None
    # A study of that name gets another folder.
    assert begin(new_store, "theirs").folder.name == "theirs (2)"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("zzz", "It has 'a very long name 4', .* and 5 more. All are listed by: kerastudy list"),
        ("STUDY C", "Did you mean 'study c'"),
        ("long", r"Did you mean '[^,]*', '[^,]*' or '[^,]*'\? All"),
        ("study z", "Did you mean 'study [a-f]'.* All are listed by: kerastudy list"),
    ],
)
def test_a_name_that_is_not_there(new_store: Store, name: str, message: str) -> None:
    for letter in "abcdef":
        begin(new_store, f"study {letter}").close()
    for number in "1234":
        begin(new_store, f"a very long name {number}").close()
    with pytest.raises(StudyNotFoundError, match=message):
        read_study(new_store, name)


def test_plain_names_in_any_script_are_taken_recorded_and_found_again(new_store: Store) -> None:
    names = [
        "7",
        "손글씨 연구 1",
        "two words  and more",
        "naïve Über-Studie",
        "研究",
        "v1.2",
        "a+b (c) [d] {e} = f & g; h, i ~ j ! k $ l ^ m's",
        "한" * 66,
        "x" * 200,
    ]
    for name in names:
        assert check_study_name(name) == name
        # Another system spells the name so.
        assert check_study_name(unicodedata.normalize("NFD", name)) == name
        folder = new_store.new_folder(name)
        with new_store.lock_study(folder, name):
            begin(new_store, name).close()
    assert sorted(study_names(new_store)) == sorted(names)
    for name in names:
        assert read_study(new_store, name).description.name == name


WRONG: list[tuple[object, str]] = [
    *((f"my{character}study", "must be a text without") for character in '/\\:@?#%"<>|*\n\t\0\x85'),
    *((name, "a text that is not empty") for name in ("", "   ")),
    *((name, "a dot at either end") for name in ("..", " x", ".x", "x.", "한" * 67)),
    *((value, "must be a text") for value in (None, 3, b"digits")),
    ("bad\udcff", "must be a text without"),
    ("Default", "another name than 'Default'"),
    ("-x", "does not begin with '-'"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "message"), WRONG)
def test_what_is_no_name_is_refused(name: object, message: str) -> None:
    with pytest.raises(StudyNameError, match=message) as error:
        check_study_name(name)
    # Messages have the first 200 characters of a value.
    assert repr(name)[:199] in str(error.value) and "such as 'digits'" in str(error.value)
