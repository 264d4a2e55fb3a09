"""How settings are declared, and the declarations of the settings that a journal records.

A setting is a field of a dataclass. The metadata of the field contains a `Setting`. kerastudy
derives the following from these declarations:

- the checks of `Study`,
- the options of ``kerastudy launch``, the help of these options, and the table in
  ``docs/launching.md``,
- the settings in a study's record and report,
- the list of the settings that must not change when a study resumes.

`studies.definition.launch_options_and_unrecorded_settings` declares the other settings of a study.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from search_spaces import argument_checks as checks
from search_spaces.errors import StudyError

_KEY: Final = "setting"
DEFAULT_ENGINE: Final = "optuna:tpe"

# Sections of `kerastudy launch --help`.
TUNE, BUDGET, SEARCH = "What to tune", "Budget", "Search"
WHERE, ADVANCED, OUTPUT = "Where it runs", "Advanced", "Output"


@dataclass(frozen=True)
class Setting:
    """The declaration of a setting, besides the name, type and default of its field.

    Attributes:
        help: A line for the command line and the docs.
        check: A function such as those of `search_spaces.argument_checks`, called as
            ``check(name, value, error=StudyError)``. The value may be the text of an option. The
            function returns the value in a plain Python type, or raises the error.
        section: The option's section in ``kerastudy launch --help``. Empty if the setting has no
            option.
        option: The option's name, e.g. ``"--folds"``, if it differs from the setting's name.
        reads: The option's type, if it differs from the setting's type: a type, a tuple of words to
            choose from, or a metavar such as ``"TIME"``.
        at_launch: Whether a launch may replace the value in the study's file.
        another_study: Whether a recorded study can't be resumed with another value.
    """

    help: str
    check: Callable[..., Any]
    section: str = ""
    option: str = ""
    reads: type | tuple[str, ...] | str = ()
    at_launch: bool = True
    another_study: bool = False


def declaration(*arguments: Any, **named: Any) -> dict[str, Setting]:
    """Returns the metadata of a setting's field. `Setting` explains the arguments."""
    return {_KEY: Setting(*arguments, **named)}


def setting(default: Any, *arguments: Any, **named: Any) -> Any:
    """Returns a dataclass field for a setting. `Setting` explains the further arguments."""
    return dataclasses.field(default=default, metadata=declaration(*arguments, **named))


def settings_of(kind: type) -> dict[str, Setting]:
    """Returns the settings that a dataclass declares, by name, in the order of its fields."""
    fields = dataclasses.fields(kind)
    return {field.name: field.metadata[_KEY] for field in fields if _KEY in field.metadata}


def check_settings(value: Any) -> None:
    """Checks all settings of a dataclass, and replaces each value by the result of its check.

    If the default of a setting is None, the value None is not checked.
    """
    settings = settings_of(type(value))
    for field in dataclasses.fields(value):
        received = getattr(value, field.name)
        if received is not None or field.default is not None:
            checked = settings[field.name].check(field.name, received, error=StudyError)
            object.__setattr__(value, field.name, checked)


def option_of(name: str, setting: Setting | None = None) -> str:
    """Returns the name of a setting's option, e.g. ``"--trial-timeout"``."""
    return (setting.option if setting else "") or f"--{name.replace('_', '-')}"


def _count_or_all(name: str, value: Any, *, error: checks.Error) -> int | None:
    if value is None or (isinstance(value, str) and value == "all"):
        return None
    count = int(value) if isinstance(value, str) and value.isdecimal() else value
    if checks.is_whole(count) and count >= 1:
        return int(count)
    raise error.of_setting(name, "a whole number of at least 1, or all", value)


def _seconds(name: str, value: Any, *, error: checks.Error) -> float:
    seconds = _seconds_of(value) if isinstance(value, str) else value
    if checks.is_real(seconds) and seconds > 0:
        return seconds
    expected = "a time above 0, in seconds or such as 90s, 30m or 1h30m"
    raise error.of_setting(name, expected, value)


def _seconds_of(text: str) -> float:
    """Returns the seconds of a time such as 1h30m, or NaN for any other text."""
    try:
        return float(text)
    except ValueError:
        # Importing pandas costs no time here: to save a champion, a launch imports MLflow, which
        # imports pandas.
        import pandas as pd

        return float(pd.to_timedelta(text, errors="coerce").total_seconds())


@dataclass(frozen=True, kw_only=True, eq=False)
class RecordedSettings:
    """The settings that the journal records. The docstring of `Study` describes them."""

    trials: int = setting(
        20, "Trials in total, including those already done.", checks.whole_number, BUDGET
    )
    epochs: int = setting(20, "Epochs of a trial.", checks.whole_number, BUDGET, another_study=True)
    batch_size: int = setting(32, "Samples in a batch.", checks.whole_number, another_study=True)
    seed: int = setting(0, "Seed of all randomness.", checks.seed, SEARCH, another_study=True)
    repeats: int = setting(
        1,
        "Trainings of each trial, each under its own seed.",
        checks.whole_number,
        BUDGET,
        another_study=True,
    )
    timeout: float | None = setting(
        None, "Time for this launch, such as 90s, 30m or 1h30m.", _seconds, BUDGET, reads="TIME"
    )
    trial_timeout: float | None = setting(
        None, "Time for a training, such as 10m.", _seconds, BUDGET, reads="TIME"
    )
    stop_at: float | None = setting(
        None, "Value of the objective at which the study ends.", checks.finite_number, BUDGET
    )
    patience: int | None = setting(
        None,
        "How many trials without a better value end the study.",
        checks.whole_number,
        BUDGET,
    )
    try_defaults: bool = setting(
        True, "Whether trial 0 has the defaults of the space.", checks.truth
    )
    keep: int | None = setting(
        10,
        "How many checkpoints to keep (those of the best trials), or all.",
        _count_or_all,
        ADVANCED,
        reads="COUNT|all",
    )
    notes: str = setting("", "The purpose of the study.", checks.text, at_launch=False)
