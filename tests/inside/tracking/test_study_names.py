"""What a study may be called."""

from __future__ import annotations

import unicodedata

import pytest
from handmade import ENVIRONMENT
from scripted import describe

from search_spaces import StudyNameError
from tracking.history import read_study, study_names
from tracking.journal import Journal
from tracking.store import Store, check_study_name, known_names

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
    assert repr(name) in str(told.value)
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


def test_every_good_name_can_be_recorded_and_found_again(shared_store: Store) -> None:
    for name in GOOD:
        folder = shared_store.new_folder(name)
        with shared_store.lock_study(folder, name):
            Journal.begin(folder, describe(name=name), ENVIRONMENT).close()
    assert sorted(study_names(shared_store)) == sorted(GOOD)
    for name in GOOD:
        assert read_study(shared_store, name).description.name == name


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
