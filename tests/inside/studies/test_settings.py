"""A setting is declared once: what is said of it elsewhere comes from there, or agrees with it."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from scripted import describe

import kerastudy as ks
from studies.commands import kerastudy
from studies.definition import ENGINES, PRUNERS, LaunchOptions, StudyDefinition, StudySettings
from studies.running import differences
from tracking.records import RecordedSettings, Setting, settings_of

ROOT = Path(__file__).parents[3]
STUDY = {**settings_of(RecordedSettings), **settings_of(StudySettings)}
CLASSES = {
    "Study": (RecordedSettings, StudySettings),
    "launch": (LaunchOptions,),
    "RayOptions": (ks.RayOptions,),
}


def declared() -> Iterator[tuple[str, dataclasses.Field[Any], Setting]]:
    """Where a setting is given in Python, its field and its declaration."""
    for where, kinds in CLASSES.items():
        for kind in kinds:
            for name, setting in settings_of(kind).items():
                (field,) = [each for each in dataclasses.fields(kind) if each.name == name]
                yield where, field, setting


def option_of(name: str, setting: Setting) -> str:
    return setting.option or f"--{name.replace('_', '-')}"


def row(where: str, field: dataclasses.Field[Any], setting: Setting) -> str:
    option = f"`{option_of(field.name, setting)}`" if setting.section else ""
    default = field.default
    value = "" if default in (None, (), dataclasses.MISSING) else repr(default).replace("'", '"')
    meaning = setting.help.replace("; see above", "").replace("|", "\\|")
    star = " \\*" if setting.another_study else ""
    return f"| {option} | `{where}({field.name}={value})` | {meaning}{star} |"


def test_the_page_has_the_table_of_the_settings() -> None:
    page = (ROOT / "docs" / "launching.md").read_text(encoding="utf-8")
    table = page.partition("## All settings\n")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")]
    assert rows[1:] == [row(*each) for each in declared()]


def test_launch_has_their_options() -> None:
    shown = CliRunner().invoke(kerastudy, ["launch", "--help"]).output
    for _, field, setting in declared():
        if setting.section:
            first = option_of(field.name, setting).partition("/")[0]
            section = shown.partition(f"\n{setting.section}:\n")[2].partition("\n\n")[0]
            assert re.search(rf"^ +{first}\b", section, re.MULTILINE), first
    assert {*ENGINES, *PRUNERS} <= set(re.split(r"[\s,]+", shown))


def test_python_takes_them() -> None:
    described = inspect.getdoc(ks.Study) or ""
    for field in dataclasses.fields(ks.Study):
        assert re.search(rf"^    {field.name}: ", described, re.MULTILINE), field.name
    taken = inspect.signature(ks.Study.launch).parameters
    for field in dataclasses.fields(LaunchOptions):
        assert taken[field.name].default == field.default
        assert re.search(rf"^    {field.name}: ", inspect.getdoc(ks.Study.launch) or "", re.M)


class Nothing:
    """No setting has such a value."""


@pytest.mark.parametrize(
    "name", [name for name, each in STUDY.items() if each.check is not None and name != "name"]
)
def test_what_is_no_value_is_refused_by_name(name: str) -> None:
    with pytest.raises(ks.KerastudyError, match=rf"\b{name}\b.*Nothing"):
        ks.Study("s", data=ks.datasets.digits(), build=print, **{name: Nothing()})  # type: ignore[arg-type]
    if STUDY[name].at_launch:
        study = ks.Study("s", data=ks.datasets.digits(), build=print)
        with pytest.raises(ks.KerastudyError, match=rf"\b{name}\b.*Nothing"):
            study.launch(**{name: Nothing()})  # type: ignore[arg-type]


def test_a_launch_replaces_what_it_may() -> None:
    study = ks.Study("s", data=ks.datasets.digits(), build=print)
    for name, setting in STUDY.items():
        value = getattr(study, name)
        if setting.at_launch:
            assert isinstance(study.with_overrides({name: value}), StudyDefinition)
        else:
            with pytest.raises(ks.errors.StudyError, match=f"'{name}' cannot be given at launch"):
                study.with_overrides({name: value})


@pytest.mark.parametrize("name", settings_of(RecordedSettings))
def test_another_value_makes_another_study_or_does_not(name: str) -> None:
    before = describe()
    value = getattr(before, name)
    other = f"{value} " if isinstance(value, str) else 7 if value is None else value + 1
    changes = differences(before, dataclasses.replace(before, **{name: other}))
    wanted = [f"{name} was {value!r} and is {other!r}"] if STUDY[name].another_study else []
    assert changes == wanted
