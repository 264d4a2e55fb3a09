"""Names of studies, and finding studies: unknown ones, several, damaged ones."""

from __future__ import annotations

import dataclasses
import sqlite3
import unicodedata
from contextlib import closing

import pytest
from handmade import (
    ENVIRONMENT,
    LOSS,
    VALUES,
    losses,
    make_result,
    make_spec,
    record_trial,
)
from scripted import describe
from stores import store_at

from search_spaces import StoreError, StudyNameError, StudyNotFoundError
from tracking.history import find_engines, read_study, study_names
from tracking.journal import Journal
from tracking.records import (
    BestEpoch,
    CodeDescription,
    DataDescription,
    EpochResult,
    Proposal,
    StudyDescription,
    from_json,
    to_json,
)
from tracking.store import Store, check_study_name, known_names

DATA = DataDescription(
    "꽃 irises",
    "a file of mine",
    "d" * 64,
    {"train": "1" * 64, "validation": "2" * 64, "test": "3" * 64},
    {"train": 90, "validation": 30, "test": 30},
    {"classes": 3, "shapes": {"train": {"x": [90, 4]}}},
)
CODE = CodeDescription("/home/me/내 연구.py", "study", "print('안녕')\n", "c" * 64)


def create(store: Store, name: str, **settings: object) -> Journal:
    folder = store.folder_of(name) or store.new_folder(name)
    return Journal.begin(folder, describe(name=name, **settings), ENVIRONMENT)


def test_an_unknown_study_names_near_ones(shared_store: Store) -> None:
    for name in ("digits of hands", "digits of feet"):
        create(shared_store, name)
    with pytest.raises(StudyNotFoundError) as told:
        read_study(shared_store, "digits of hand")
    assert "'digits of hand'" in str(told.value)
    assert "'digits of hands'" in str(told.value)
    assert str(shared_store.root) in str(told.value)
    assert find_engines(shared_store, "digits of hand") == []


def test_a_study_in_an_empty_store_is_unknown(new_store: Store) -> None:
    with pytest.raises(StudyNotFoundError, match="empty"):
        read_study(new_store, "digits")


def test_the_latest_study_is_named_first(new_store: Store) -> None:
    for name in ("first", "second", "third"):
        create(new_store, name)
    assert study_names(new_store) == ["third", "second", "first"]


def test_two_engines_are_kept_apart(new_store: Store) -> None:
    """That of the best trial is read, else the one launched last, unless another is asked for."""
    tpe = create(new_store, "two engines")
    tpe.set_running({})
    random = create(new_store, "two engines", engine="optuna:random")
    random.set_running({})
    assert read_study(new_store, "two engines").description.engine == "optuna:random"
    record_trial(tpe, make_spec(0), losses(0.5))
    record_trial(random, make_spec(0), losses(0.25))
    record_trial(random, make_spec(1), losses(0.75))
    latest = read_study(new_store, "two engines")
    assert latest.engines == ("optuna:tpe", "optuna:random")
    assert latest.description.engine == "optuna:random"
    assert [t.best and t.best.value for t in latest.trials] == [0.25, 0.75]
    other = read_study(new_store, "two engines", "optuna:tpe")
    assert (other.folder, other.search) == (latest.folder, tpe.search)
    assert [t.best and t.best.value for t in other.trials] == [0.5]
    tpe.set_running({})
    again = read_study(new_store, "two engines")
    assert again.description.engine == "optuna:random"
    assert again.engines[-1] == "optuna:tpe"
    assert study_names(new_store) == ["two engines"]
    with pytest.raises(StudyNotFoundError) as told:
        read_study(new_store, "two engines", "optuna:grid")
    assert "'optuna:grid'" in str(told.value)
    assert "optuna:tpe" in str(told.value)
    assert "optuna:random" in str(told.value)


def test_folders_of_others_are_no_studies(new_store: Store) -> None:
    create(new_store, "ours")
    (new_store.root / "theirs").mkdir()
    (new_store.root / "theirs" / "notes.txt").write_text("mine")
    assert study_names(new_store) == ["ours"]
    with pytest.raises(StudyNotFoundError, match="'ours'"):
        read_study(new_store, "theirs")
    # A study of that name gets another folder.
    assert create(new_store, "theirs").folder.name == "theirs (2)"
    assert len(read_study(new_store, "theirs").trials) == 0


def test_a_folder_under_another_name_has_its_study(new_store: Store) -> None:
    """It was copied, moved or sent: the name in the journal counts."""
    create(new_store, "digits").close()
    create(new_store, "other").close()
    (new_store.root / "digits").rename(new_store.root / "from grace")
    (new_store.root / "other").rename(new_store.root / "digits")
    assert read_study(new_store, "digits").folder.name == "from grace"
    assert read_study(new_store, "other").folder.name == "digits"


def test_damage_in_one_journal_is_not_anothers(new_store: Store) -> None:
    for name in ("damaged", "sound"):
        create(new_store, name).close()
    (new_store.root / "damaged" / "journal.db").write_bytes(b"no database " * 99)
    assert study_names(new_store) == ["sound"]
    assert len(read_study(new_store, "sound").trials) == 0
    with pytest.raises(StoreError, match="is damaged"):
        read_study(new_store, "damaged")


@pytest.mark.parametrize("text", ["{", "{}", "[]", '{"number": 3, "st'])
def test_a_record_that_cannot_be_read_is_told(new_store: Store, text: str) -> None:
    journal = create(new_store, "lost")
    record_trial(journal, make_spec(0), losses(0.5))
    journal.close()
    path = journal.folder / "journal.db"
    for table, column in (("trials", "result"), ("searches", "definition")):
        with closing(sqlite3.connect(path)) as database, database:
            database.execute(f"UPDATE {table} SET {column} = ?", (text,))
        with pytest.raises(StoreError, match=r"cannot be read.*from a backup"):
            read_study(new_store, "lost")


def test_a_description_survives_json() -> None:
    described = describe(data=DATA, code=CODE, keep=None, notes="줄 1\n줄 2")
    assert from_json(StudyDescription, to_json(described)) == dataclasses.replace(
        described, code=dataclasses.replace(CODE, source="")
    )


def test_an_epoch_shows_before_the_trial_ends(new_store: Store) -> None:
    """To whoever reads it."""
    journal = create(new_store, "by another")
    uuid = journal.begin_trial(make_spec(), Proposal(0, VALUES), ENVIRONMENT)
    journal.begin_fit(uuid, make_spec(), only=True)
    journal.log_epoch(uuid, EpochResult(0, 1, {"val_loss": 0.5}, 0.1))
    journal.flush()
    other = store_at(new_store.root)
    history = read_study(other, "by another")
    assert history.trial(0).state == "running"
    assert history.curve(history.trial(0)) == {1: {"val_loss": 0.5}}
    journal.end_trial(uuid, make_result(make_spec(), losses(0.5)))
    trial = read_study(other, "by another").trial(0)
    assert trial.best == BestEpoch(1, 0.5, {"loss": 0.25, "val_loss": 0.5})
    assert trial.spec.objective == LOSS


GOOD = [
    "digits",
    "7",
    "손글씨 연구 1",
    "two words  and more",
    "naïve Über-Studie",
    "研究",
    "v1.2",
    "it's mine",
    "a+b (c) [d] {e} = f & g; h, i ~ j ! k $ l ^ m",
    ".hidden".removeprefix("."),
    "한" * 66,
    "x" * 200,
]


@pytest.mark.parametrize("name", GOOD)
def test_plain_names_in_any_script_are_taken_as_they_are(name: str) -> None:
    assert check_study_name(name) == name


@pytest.mark.parametrize("name", ["손글씨 연구", "Über", "é"])
def test_a_name_typed_on_another_system_is_the_same_name(name: str) -> None:
    decomposed = unicodedata.normalize("NFD", name)
    assert decomposed != name
    assert check_study_name(decomposed) == name


@pytest.mark.parametrize("character", [*'/\\:@?#%"<>|*', "\n", "\t", "\0", "\x1b", "\x7f", "\x85"])
def test_a_forbidden_character_is_quoted(character: str) -> None:
    name = f"my{character}study"
    with pytest.raises(StudyNameError) as told:
        check_study_name(name)
    assert repr(character) in str(told.value)
    assert repr(name) in str(told.value)


@pytest.mark.parametrize(
    "name",
    ["", " ", "   ", ".", "..", "...", " digits", "digits ", ".digits", "digits.", "x" * 201,
     "한" * 67],
)  # fmt: skip
def test_a_name_that_is_no_name_is_quoted(name: str) -> None:
    with pytest.raises(StudyNameError) as told:
        check_study_name(name)
    # Messages have the first 200 characters of a value.
    assert repr(name)[:199] in str(told.value)
    assert "digits" in str(told.value)


@pytest.mark.parametrize("name", ["../digits", "/etc/passwd", "a/b", "C:\\studies", "./x"])
def test_a_path_is_no_name(name: str) -> None:
    with pytest.raises(StudyNameError, match="must not contain"):
        check_study_name(name)


@pytest.mark.parametrize("name", [None, 3, b"digits", ["digits"], 1.5])
def test_what_is_no_string_is_quoted(name: object) -> None:
    with pytest.raises(StudyNameError) as told:
        check_study_name(name)
    assert repr(name) in str(told.value)


@pytest.mark.parametrize("name", ["bad\udcff", "\ud800"])
def test_bytes_that_are_no_text_are_refused(name: str) -> None:
    """A name typed in another encoding reaches Python as lone surrogates."""
    with pytest.raises(StudyNameError):
        check_study_name(name)


def test_every_good_name_can_be_recorded_and_found_again(new_store: Store) -> None:
    for name in GOOD:
        folder = new_store.new_folder(name)
        with new_store.lock_study(folder, name):
            Journal.begin(folder, describe(name=name), ENVIRONMENT).close()
    assert sorted(study_names(new_store)) == sorted(GOOD)
    for name in GOOD:
        assert read_study(new_store, name).description.name == name


def test_the_name_of_mlflows_own_experiment_is_refused() -> None:
    with pytest.raises(StudyNameError, match="'Default'"):
        check_study_name("Default")


SEVERAL = [f"study {letter}" for letter in "abcdefghijkl"]


@pytest.mark.parametrize(
    ("name", "names", "said"),
    [
        ("x", [], "It is empty."),
        ("x", ["digits"], "It has: 'digits'"),
        ("zzz", SEVERAL, "'study e' and 7 more, listed by: kerastudy list"),
        ("STUDY-C", SEVERAL, "Did you mean 'study c'"),
        ("study z", SEVERAL, "All are listed by: kerastudy list"),
    ],
)
def test_a_name_that_is_not_there(name: str, names: list[str], said: str) -> None:
    assert said in known_names(name, names)
