"""What is said of a study's definition: what counts, and what has changed."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import pytest
from scripted import describe

import kerastudy as ks
from search_spaces import StudyError
from studies import first_paragraph
from studies.running import differences, warnings_of
from tracking.records import CodeDescription

SPACE = ks.SearchSpace(ks.epochs(2, 5), ks.batch_size())


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"epochs": 2, "batch_size": 32}, ["epochs=2", "--set epochs=2"]),
        ({"epochs": 20, "batch_size": 64}, ["batch_size=64", "--set batch_size=64"]),
        ({"epochs": 20, "batch_size": 32}, []),
    ],
)
def test_a_setting_that_the_space_overrules(settings: dict[str, Any], said: list[str]) -> None:
    warnings = warnings_of(describe(space=SPACE, **settings))
    assert len(warnings) == (1 if said else 0)
    for words in said:
        assert words in warnings[0]
    assert warnings_of(describe(**settings)) == []


@pytest.mark.parametrize("name", ["epochs", "batch_size"])
def test_a_setting_at_launch_that_the_space_overrules_is_refused(name: str) -> None:
    study = ks.Study("fast", data=ks.datasets.digits(), build=lambda hp: None, space=SPACE)
    with pytest.raises(
        StudyError, match=rf"Received: 3. Give it other values by --set, such as --set {name}=3"
    ):
        study.with_overrides({name: 3})


def test_a_study_with_overrides_is_still_a_study_that_never_changes() -> None:
    study = ks.Study("fast", data=ks.datasets.digits(), build=lambda hp: None)
    other = study.with_overrides({"epochs": 3})
    assert type(other) is ks.Study and repr(other).startswith("<study 'fast': ")
    for name in ("epochs", "anything"):
        with pytest.raises(FrozenInstanceError):
            setattr(other, name, 4)


@pytest.mark.parametrize("wrong", [lambda: [], lambda hp, epochs: [], [], "EarlyStopping"])
def test_callbacks_that_are_no_function_of_hp_are_refused(wrong: Any) -> None:
    with pytest.raises(StudyError, match="callbacks must be a function of hp that returns"):
        ks.Study("mini", data=ks.datasets.digits(), build=lambda hp: None, callbacks=wrong)


@pytest.mark.parametrize("right", [lambda hp: [], lambda *given: [], lambda hp, more=2: []])
def test_callbacks_that_can_be_called_with_hp_are_taken(right: Any) -> None:
    ks.Study("mini", data=ks.datasets.digits(), build=lambda hp: None, callbacks=right)


def test_a_misspelt_setting_is_told_with_what_may_be_meant() -> None:
    study = ks.Study("mini", data=ks.datasets.digits(), build=lambda hp: None)
    misspelt: dict[str, Any] = {"epoch": 2}
    for call in (lambda: replace(study, **misspelt), lambda: study.launch(**misspelt)):
        with pytest.raises(StudyError, match=r"'epoch'.* Did you mean 'epochs'\?"):
            call()


def test_other_data_under_the_same_code(tmp_path: Path) -> None:
    """A file that the study reads may have been edited; that is no want of a seed."""
    file = tmp_path / "table.npz"
    file.touch()
    code = CodeDescription("mine.py", "study", "", "c" * 64)
    before = describe(code=code)
    now = replace(before, data=replace(before.data, digest="e" * 64, digests={"train": "2" * 64}))
    (said,) = differences(before, now)
    assert "CSV" in said and "no seed" in said
    (said,) = differences(before, replace(now, data=replace(now.data, source=str(file))))
    assert said.endswith(f"the file {str(file)!r} has changed")
    (said,) = differences(before, replace(now, code=replace(code, digest="f" * 64)))
    assert said == "the data differs (train, validation), and so does the code: mine.py"


def test_an_error_of_several_lines_is_told_in_one_without_its_example() -> None:
    text = "\nObject VAE must override\n`get_config()`.\n\nExample:\n\nclass CustomLayer: ...\n"
    assert first_paragraph(NotImplementedError(text)) == (
        "NotImplementedError: Object VAE must override `get_config()`"
    )
    assert first_paragraph(KeyError()) == "KeyError"
