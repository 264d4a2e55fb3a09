"""``kerastudy launch``, whose options are the declared settings of a study and of a launch."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import click

from studies.commands.command_line import (
    EXIT_INTERRUPTED,
    Sectioned,
    answer,
    json_option,
    store_option,
    table_options,
)
from studies.definition import LaunchOptions, RayOptions, StudySettings
from tracking.records import (
    ADVANCED,
    BUDGET,
    OUTPUT,
    SEARCH,
    TUNE,
    WHERE,
    RecordedSettings,
    Setting,
    settings_of,
)

_KINDS: Final = (RecordedSettings, StudySettings, LaunchOptions, RayOptions)
_SETTINGS: Final[dict[str, Setting]] = {
    name: setting
    for kind in _KINDS
    for name, setting in settings_of(kind).items()
    if setting.section
}
_TYPES: Final = {"int": int, "float": float}
# The parameter names of the options by section. Options that are no settings come first.
_SECTIONS: Final = {
    section: [*others, *(name for name, it in _SETTINGS.items() if it.section == section)]
    for section, others in (
        (
            TUNE,
            [
                "ranges",
                "only",
                "data_file",
                "column",
                "drop",
                "missing",
                "dates",
                "time",
                "dry_run",
            ],
        ),
        (BUDGET, []),
        (SEARCH, []),
        (WHERE, ["store"]),
        (ADVANCED, []),
        (OUTPUT, ["quiet", "as_json"]),
    )
}


def _setting_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds an option for each setting that has a section. Its value is None if it is left out."""
    fields = {field.name: field for kind in _KINDS for field in dataclasses.fields(kind)}
    for name, setting in reversed(_SETTINGS.items()):
        attributes: dict[str, Any]
        type_name, default = str(fields[name].type).partition(" ")[0], fields[name].default
        help_text = setting.help
        if isinstance(setting.reads, str):
            attributes = {"metavar": setting.reads}
        elif isinstance(setting.reads, tuple) and setting.reads:
            attributes = {"type": click.Choice(setting.reads)}
            help_text += f"  [default: {default}]" if default else ""
        elif type_name == "bool":
            attributes = {"is_flag": True}
        else:
            attributes = {"type": setting.reads or _TYPES.get(type_name, str)}
        option = setting.option or f"--{name.replace('_', '-')}"
        command = click.option(option, name, default=None, help=help_text, **attributes)(command)
    return command


@click.command(
    "launch",
    cls=Sectioned,
    sections=_SECTIONS,
    epilog="Launch a stopped study again to resume it.",
)
@click.argument("target", metavar="TARGET", required=False)
@click.option(
    "--set",
    "ranges",
    multiple=True,
    metavar="NAME=DOMAIN",
    help="A hyperparameter's range (LOW..HIGH), choices (A,B) or value; once for each.",
)
@click.option("--only", multiple=True, metavar="NAME,NAME", help="Vary only these; fix all others.")
@click.option(
    "--data",
    "data_file",
    type=click.Path(path_type=Path),
    help="A file in place of the study's own data: npz (x_train, y_train, …), csv or parquet; or a "
    "folder of images or texts.",
)
@click.option("--target", "column", metavar="COLUMN", help="The column to predict, of a table.")
@store_option
@_setting_options
@click.option("--dry-run", is_flag=True, help="Show what would be tuned; train and write nothing.")
@click.option("--quiet", "-q", is_flag=True, help="Print the outcome alone: no progress.")
@json_option
@table_options
def launch_command(
    target: str | None,
    store: Path | None,
    data_file: Path | None,
    column: str | None,
    only: tuple[str, ...],
    ranges: tuple[str, ...],
    quiet: bool,
    dry_run: bool,
    as_json: bool,
    of_table: dict[str, Any],
    **settings: Any,
) -> None:
    """Run a study, or resume it.

    TARGET is a study of the catalog (digits), a file (my_study.py), or a file and the variable
    that holds the study (my_study.py:wide). Of a csv, parquet or npz file, or a folder of images
    or texts, it writes a study file first, as `new` does. A script for Keras Tuner or
    Optuna runs up to its tuner.search(...) or study.optimize(...), which becomes the study. The
    variable may be an objective of Optuna's, a function of a trial that returns a number.

    \b
    kerastudy launch digits
    kerastudy launch digits --dry-run
    kerastudy launch my_study.py --trials 100 --pruner median
    kerastudy launch my_study.py:wide --engine quasi-random --name "first look"
    kerastudy launch digits --trials 500 --timeout 2h --stop-at 0.99
    kerastudy launch digits --engine optuna:tpe,n_startup_trials=20
    kerastudy launch digits --set l2=1e-4 --set dropout=0.1..0.5 --name narrow
    kerastudy launch digits --start-with study:narrow --name again
    kerastudy launch my_study.py --data houses.csv --target price
    kerastudy launch houses.csv --target price
    kerastudy launch my_study.py --executor ray --address auto --workers 32
    kerastudy launch tune.py

    \b
    engines  optuna:tpe, optuna:random, optuna:quasi-random, optuna:cma-es,
             optuna:grid, keras-tuner:random, keras-tuner:bayesian,
             keras-tuner:hyperband, keras-tuner:grid
    pruners  none, median, percentile, successive-halving, hyperband, threshold,
             patient

    Settings of an engine or a pruner follow its name: median,n_warmup_steps=3.
    """
    if target is None:
        raise click.UsageError(
            "Missing argument 'TARGET'. For a first study: kerastudy launch digits. For the others "
            "of the catalog: kerastudy list --catalog."
        )
    from search_spaces import Tailoring
    from studies.commands.records import (
        OF_ALONE,
        data_to_use,
        definition_document,
        is_data_alone,
        study_document,
    )
    from studies.commands.texts.study_text import definition_text, study_text, verdict_text
    from studies.launching import describe_target, launch_target
    from studies.user_code import resolve_target

    if data_file is None and is_data_alone(target):
        from studies.new_study_file import file_for

        # With --dry-run, nothing stays.
        within = click.get_current_context().with_resource
        folder = within(tempfile.TemporaryDirectory()) if dry_run else ""
        target, column = str(file_for(Path(target), column, of_table, Path(folder))), None
    elif of_table:
        raise click.UsageError(OF_ALONE)
    resolved = resolve_target(target)
    options = launch_options(settings, store=store, progress=not quiet)
    overrides = overrides_of(settings)
    tailoring = Tailoring.from_arguments(only, ranges)
    if not tailoring.empty:
        overrides["tailoring"] = tailoring
    data = data_to_use(data_file, column, " For a value at which the study ends, use --stop-at.")
    if dry_run:
        description = describe_target(resolved, options.place, overrides=overrides, data=data)
        answer(
            as_json, lambda: definition_document(description), lambda: definition_text(description)
        )
        return
    try:
        # Standard output is for results, and the user's code may print.
        with contextlib.redirect_stdout(sys.stderr):
            history = launch_target(resolved, options, overrides=overrides, data=data)
    except KeyboardInterrupt:
        _tell_how_to_resume()
        sys.exit(EXIT_INTERRUPTED)
    text = verdict_text if quiet else study_text
    answer(as_json, lambda: study_document(history), lambda: text(history))


def _tell_how_to_resume() -> None:
    import shlex

    from studies.terminal_text import wrapped

    line = "kerastudy: interrupted; nothing is lost. To resume, give the same command:"
    between = " "
    if sys.stderr.isatty():
        line, between = "\n".join(wrapped(line, indent=2)), "\n  "
    # The terminal may be closed. The command is not wrapped, so that people can copy it.
    with contextlib.suppress(OSError):
        click.echo(f"{line}{between}{shlex.join(['kerastudy', *sys.argv[1:]])}", err=True)


def _options_of(kind: type, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the options that the user gave, if they are settings of this class."""
    return {name: settings[name] for name in settings_of(kind) if settings.get(name) is not None}


def launch_options(
    settings: Mapping[str, Any], *, store: Path | None, progress: bool
) -> LaunchOptions:
    """Returns the checked options of a launch."""
    from search_spaces.errors import StudyError

    options, of_ray = _options_of(LaunchOptions, settings), _options_of(RayOptions, settings)
    if options.get("executor") == "ray":
        options["ray"] = RayOptions(**of_ray)
    elif of_ray:
        raise StudyError(
            "--address, --cpus-per-trial and --gpus-per-trial are those of a Ray cluster",
            hint="Add --executor ray, or leave them out.",
        )
    return LaunchOptions(**options, store=store, progress=progress)


def overrides_of(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Checks and returns the settings of the study that the options replace."""
    from search_spaces.errors import StudyError

    overrides = {**_options_of(RecordedSettings, settings), **_options_of(StudySettings, settings)}
    for name, text in overrides.items():
        setting = _SETTINGS[name]
        read = _READ.get(setting.reads) if isinstance(setting.reads, str) else None
        value = text if read is None else read(f"--{name.replace('_', '-')}", text)
        if setting.check is not None:
            value = setting.check(name, value, error=StudyError)
        overrides[name] = value
    return overrides


def seconds_of(option: str, text: str) -> float:
    """Returns the seconds of a time such as 1h30m."""
    from search_spaces.errors import StudyError

    try:
        seconds = float(text)
    except ValueError:
        # A launch imports MLflow, which imports pandas anyway.
        import pandas as pd

        try:
            seconds = pd.Timedelta(text).total_seconds()
        except ValueError:
            seconds = math.nan
    if not 0 < seconds < math.inf:
        raise StudyError(
            f"{option} takes a time above 0, in seconds or such as 90s, 30m or 1h30m",
            received=text,
        )
    return seconds


def _count_or_all(option: str, text: str) -> int | None:
    from search_spaces.errors import StudyError

    if text == "all":
        return None
    if text.isdecimal() and int(text) >= 1:
        return int(text)
    raise StudyError(f"{option} takes a whole number of at least 1, or all", received=text)


_READ: Final[Mapping[str, Callable[[str, str], Any]]] = {
    "TIME": seconds_of,
    "COUNT|all": _count_or_all,
}
