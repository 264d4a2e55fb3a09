"""A setting is declared once: other texts on it come from the declaration, or agree with it."""

import dataclasses
import inspect
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from scripted import describe
from user_commands import kerastudy_here

import kerastudy as ks
from studies import first_paragraph
from studies.champion import ConfirmOptions
from studies.commands import kerastudy
from studies.definition import ENGINES, PRUNERS, LaunchOptions, StudyDefinition, StudySettings
from studies.launching import differences, warnings_of
from tracking.records import CodeDescription, RecordedSettings, Setting, option_of, settings_of

ROOT = Path(__file__).parents[3]
STUDY = {**settings_of(RecordedSettings), **settings_of(StudySettings)}
CLASSES = {
    "Study": (RecordedSettings, StudySettings),
    "launch": (LaunchOptions,),
    "RayOptions": (ks.RayOptions,),
}


def declared() -> Iterator[tuple[str, dataclasses.Field[Any], Setting]]:
    """Yields each setting: the place where Python takes it, its field and its declaration."""
    for where, kinds in CLASSES.items():
        for kind in kinds:
            for name, setting in settings_of(kind).items():
                (field,) = [field for field in dataclasses.fields(kind) if field.name == name]
                yield where, field, setting


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
    assert rows[1:] == [row(*setting) for setting in declared()]


def test_launch_has_their_options(tmp_path: Path) -> None:
    help_text = kerastudy_here(tmp_path, "launch", "--help").stdout
    for _, field, setting in declared():
        if setting.section:
            first = option_of(field.name, setting).partition("/")[0]
            section = help_text.partition(f"\n{setting.section}:\n")[2].partition("\n\n")[0]
            assert re.search(rf"^ +{first}\b", section, re.MULTILINE), first
    assert {*ENGINES, *PRUNERS} <= set(re.split(r"[\s,]+", help_text))


def test_python_takes_them() -> None:
    described = inspect.getdoc(ks.Study) or ""
    for field in dataclasses.fields(ks.Study):
        assert re.search(rf"^    {field.name}: ", described, re.MULTILINE), field.name
    taken = inspect.signature(ks.Study.launch).parameters
    for field in dataclasses.fields(LaunchOptions):
        assert taken[field.name].default == field.default
        assert re.search(rf"^    {field.name}: ", inspect.getdoc(ks.Study.launch) or "", re.M)


def test_confirm_has_the_same_defaults_and_limits_as_a_command() -> None:
    confirm = kerastudy.get_command(click.Context(kerastudy), "confirm")
    options = {option.name: option for option in confirm.params}
    for name in ("top", "seeds", "budget"):
        assert options[name].default == getattr(ConfirmOptions, name), name
        least = options[name].type.min
        assert getattr(ConfirmOptions(**{name: least}), name) == least
        with pytest.raises(ks.errors.StudyError, match=f"at least {least}"):
            ConfirmOptions(**{name: least - 1})


class Lock:
    """It can't be copied."""

    def __deepcopy__(self, memo: Any) -> Any:
        raise TypeError("cannot pickle a lock")


def make(**settings: Any) -> ks.Study:
    usual = {"name": "fast", "data": ks.datasets.digits(), "build": lambda hp: None}
    return ks.Study(**{**usual, **settings})


NO_COUNT, NO_TRUTH = [0, -1, 1.5, math.nan, True, "3"], [0, 1, "yes"]
NO_TIME = [0, -1.5, math.inf, math.nan, True, "soon"]
# Wrong values of each setting, which are written here without the checks in the declarations.
WRONG: dict[str, list[Any]] = {
    "test": NO_TRUTH,
    **dict.fromkeys(("trials", "epochs", "batch_size", "repeats", "patience"), NO_COUNT),
    **dict.fromkeys(("threads", "workers", "budget"), NO_COUNT),
    **dict.fromkeys(("try_defaults", "progress", "retry_infeasible", "report"), NO_TRUTH),
    **dict.fromkeys(("timeout", "trial_timeout"), NO_TIME),
    "top": [*NO_COUNT, 1], "seeds": [*NO_COUNT, 4], "cross_validation": [*NO_COUNT, 1],
    "seed": [-1, 2**32, 0.5, True, "3"], "stop_at": [math.inf, math.nan, True, "0.9"],
    "keep": [0, -1, 1.5, True, "few"], "notes": [3, None], "name": ["", "  ", "../digits", 3],
    "data": [3, lambda hp: None], "build": [3, "build"], "space": [{}, [ks.units()]],
    "objective": [3, None], "engine": ["optuna:tpee", 3], "pruner": ["medium", 3],
    "callbacks": [Lock(), [Lock()], "EarlyStopping"], "class_weight": ["even", 3, {"a": 1.0}],
    "objective_function": [3, int], "direction": ["up", ["maximize"]], "tailoring": [{}, None],
    "initial": ["", "study:", 3, [3], {"rate": 1}], "trainer": ["plian", None],
    "store": [3.5, True], "executor": ["cloud", True], "tracking_uri": ["here", 3],
    "verify": ["all", True], "ray": [{"address": "auto"}, "auto"],
    "address": [" ", "nonsense", "head:70000", "ray://head:10001"],
    "cpus_per_trial": [0, -1, math.nan, True, "2"],
    "gpus_per_trial": [1.5, -1, math.nan, True, "2"],
}  # fmt: skip


def taking() -> Iterator[tuple[str, Callable[..., object]]]:
    """Yields each setting, with a function that takes it."""
    for name, setting in STUDY.items():
        yield name, make
        if setting.at_launch:
            yield name, make().launch
    for kind, take in ((LaunchOptions, make().launch), (ks.RayOptions, ks.RayOptions)):
        yield from ((name, take) for name in settings_of(kind))
    yield from ((name, ConfirmOptions) for name in ("top", "seeds", "budget", "test"))


@pytest.mark.parametrize(("name", "take"), list(taking()))
def test_wrong_values_are_refused_by_name(name: str, take: Callable[..., object]) -> None:
    for value in (*WRONG[name], object()):
        with pytest.raises(ks.KerastudyError) as raised:
            take(**{name: value})
        error = raised.value
        assert error.setting and error.expected and error.received, value
        text = str(error).lower().replace("_", " ")
        assert name.replace("_", " ") in text, (value, text)
        assert "received: " in text or repr(value) in text, (value, text)


def test_a_launch_replaces_the_settings_that_it_may() -> None:
    study = make()
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
    undo = f" (to undo: --{name} {value})" if STUDY[name].section else ""
    expected = [f"{name} was {value!r} and is {other!r}{undo}"] * STUDY[name].another_study
    assert changes == expected


def test_another_engine_and_other_first_values_make_another_study() -> None:
    before, first = describe(), ({"rate": 0.01},)
    of_engine, of_values = differences(
        before, dataclasses.replace(before, engine="optuna:random", initial=first)
    )
    undo = "(to undo: --engine optuna:tpe)"
    assert of_engine == f"engine was 'optuna:tpe' and is 'optuna:random' {undo}"
    assert of_values == f"initial was () and is {first}"
    former = dataclasses.replace(before, initial=first, initial_from="my values.json", folds=5)
    former = dataclasses.replace(former, cross_validation="5")
    of_values, of_folds = differences(former, before)
    assert of_values.endswith("(to undo: --start-with 'my values.json')")
    assert of_folds.endswith("(to undo: --folds 5)")
    assert (
        "undo" not in differences(dataclasses.replace(former, cross_validation="f(5)"), before)[1]
    )


SPACE = ks.SearchSpace(ks.epochs(2, 5), ks.batch_size())


@pytest.mark.parametrize(
    ("settings", "phrases"),
    [
        ({"epochs": 2, "batch_size": 32}, ["epochs=2", "--set epochs=2"]),
        ({"epochs": 20, "batch_size": 64}, ["batch_size=64", "--set batch_size=64"]),
        ({"epochs": 20, "batch_size": 32}, []),
    ],
)
def test_a_setting_that_the_space_overrules(settings: dict[str, Any], phrases: list[str]) -> None:
    warnings = warnings_of(describe(space=SPACE, **settings))
    assert len(warnings) == (1 if phrases else 0)
    for words in phrases:
        assert words in warnings[0]
    assert warnings_of(describe(**settings)) == []


def test_a_study_never_changes() -> None:
    study = make(initial="study:old")
    other = study.with_overrides({"epochs": 3, "initial": Path("a.csv")})
    assert type(other) is ks.Study and repr(other).startswith("<study 'fast': ")
    assert (study.initial, other.initial, other.epochs) == ("study:old", "a.csv", 3)
    for name in ("epochs", "anything"):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(other, name, 4)


@pytest.mark.parametrize(
    ("settings", "options", "message"),
    [
        ({}, {"executor": "in-process", "workers": 2}, "takes no number of workers. Received: 2"),
        ({}, {"epoch": 2}, r"'epoch'.* Did you mean 'epochs'\?"),
        ({}, {"wrkers": 2}, r"'wrkers'.* Did you mean 'workers'\?"),
        ({"epoch": 2}, {}, r"'epoch'.* Did you mean 'epochs'\?"),
        ({"trainer": "plian"}, {}, r"'plian'.*'plain'"),
        *(
            ({"space": SPACE}, {name: 3}, rf"3. Give it other .* by --set, such as --set {name}=3")
            for name in ("epochs", "batch_size")
        ),
    ],
)
def test_wrong_settings_are_refused_before_anything_is_loaded(
    settings: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ks.KerastudyError, match=message):
        make(**settings).launch(**options)


def test_workers_are_processes() -> None:
    for options in (LaunchOptions(workers=1), LaunchOptions(executor="worker")):
        assert options.runs_in(otherwise="in-process") == "worker"
    for options in (LaunchOptions(), LaunchOptions(executor="in-process")):
        assert options.runs_in(otherwise="in-process") == "in-process"


def test_other_data_under_the_same_code(tmp_path: Path) -> None:
    """The message tells an edited file from a missing seed."""
    file = tmp_path / "table.npz"
    file.touch()
    code = CodeDescription("mine.py", "study", "", "c" * 64)
    before, replace = describe(code=code), dataclasses.replace
    now = replace(before, data=replace(before.data, digest="e" * 64, digests={"train": "2" * 64}))
    (difference,) = differences(before, now)
    assert "CSV" in difference and "without a seed" in difference
    (difference,) = differences(before, replace(now, data=replace(now.data, source=str(file))))
    assert difference.endswith(f"the file {str(file)!r} has changed")
    (difference,) = differences(before, replace(now, code=replace(code, digest="f" * 64)))
    assert difference == "the data differs (train, validation), and so does the code: mine.py"


def test_an_error_of_several_lines_is_told_in_one_without_its_example() -> None:
    text = "\nObject VAE must override\n`get_config()`.\n\nExample:\n\nclass CustomLayer: ...\n"
    assert first_paragraph(NotImplementedError(text)) == (
        "NotImplementedError: Object VAE must override `get_config()`"
    )
    assert first_paragraph(KeyError()) == "KeyError"
