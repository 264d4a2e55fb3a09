"""``kerastudy new`` and ``kerastudy launch``.

Most options of ``launch`` are made from the declared settings of a study and of a launch, in
`_SETTINGS`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import shlex
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import click

from search_spaces.errors import StudyError
from studies.commands.command_line import (
    Sectioned,
    answer,
    data_to_use,
    is_data_target,
    json_option,
    other_data_options,
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
    option_of,
    settings_of,
)

_KINDS: Final = (RecordedSettings, StudySettings, LaunchOptions, RayOptions)
_SETTINGS: Final[dict[str, Setting]] = {
    name: setting
    for kind in _KINDS
    for name, setting in settings_of(kind).items()
    if setting.section
}
# The parameter names of the options, by section of the help. In each section, options that are not
# settings come first.
_SECTIONS: Final = {
    TUNE: [
        "ranges",
        "only",
        "data",
        "column",
        "groups",
        "drop",
        "missing",
        "merge",
        "dates",
        "time",
        "dry_run",
    ],
    BUDGET: [],
    SEARCH: [],
    WHERE: ["store"],
    ADVANCED: [],
    OUTPUT: ["quiet", "as_json"],
}
for _name, _setting in _SETTINGS.items():
    _SECTIONS[_setting.section].append(_name)


@click.command("new", short_help="Write a study file to start from.")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Your data: a csv or parquet file, or a folder of images or texts with a subfolder "
    "for each class.  [default: handwritten digits]",
)
@click.option("--target", help="The column to predict, in a csv or parquet file.")
@click.option("--from", "catalog", metavar="NAME", help="Copy a study of the catalog instead.")
@json_option
@table_options
def new_command(
    file: Path,
    data: Path | None,
    target: str | None,
    catalog: str | None,
    as_json: bool,
    of_table: dict[str, Any],
) -> None:
    """Write a study file to start from, with all choices: data, model, search space.

    Without --data, the study is on handwritten digits. An existing file is not replaced.

    \b
    kerastudy new my_study.py
    kerastudy new houses.py --data houses.csv --target price
    kerastudy new flowers.py --data photos/
    kerastudy new my_study.py --from digits
    """
    from studies.new_study_file import write_study
    from studies.terminal_text import as_notes

    if catalog is not None and (data, target) != (None, None):
        raise click.UsageError("--from copies a study as it is: leave out --data and its options.")
    if data is None and (target is not None or of_table):
        raise click.UsageError(
            "--target, --drop and the like describe the file of --data: give --data, too."
        )
    name, notes = write_study(file, data=data, target=target, catalog=catalog, options=of_table)
    if notes:
        click.echo(as_notes(notes), err=True)
    document = {"file": str(file.expanduser().absolute()), "study": name}
    launch = f"kerastudy launch {shlex.quote(str(file))}"
    text = f"{file}: a study file to start from. Read it, change it, then:\n  {launch} --dry-run"
    answer(as_json, lambda: document, lambda: f"{text}\n  {launch}")


def _setting_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds an option for each setting that has a section.

    If the user leaves out an option, its value is None.
    """
    fields = {field.name: field for kind in _KINDS for field in dataclasses.fields(kind)}
    for name, setting in reversed(_SETTINGS.items()):
        attributes: dict[str, Any] = {"default": None}
        type_name, default = str(fields[name].type).partition(" ")[0], fields[name].default
        help_text = setting.help
        if isinstance(setting.reads, str):
            attributes["metavar"] = setting.reads
        elif isinstance(setting.reads, tuple) and setting.reads:
            attributes["type"] = click.Choice(setting.reads)
            help_text += f"  [default: {default}]" if default else ""
        elif type_name == "bool":
            attributes["is_flag"] = True
        else:
            attributes["type"] = setting.reads or {"int": int, "float": float}.get(type_name, str)
        option = click.option(option_of(name, setting), name, help=help_text, **attributes)
        command = option(command)
    return command


@click.command(
    "launch", cls=Sectioned, sections=_SECTIONS, epilog="Launch a stopped study again to resume it."
)
@click.argument("target", metavar="TARGET", required=False)
@click.option(
    "--set",
    "ranges",
    multiple=True,
    metavar="NAME=DOMAIN",
    help="A hyperparameter's range (LOW..HIGH), choices (A,B) or value; may be repeated.",
)
@click.option("--only", multiple=True, metavar="NAME,NAME", help="Vary only these; fix all others.")
@other_data_options
@store_option
@_setting_options
@click.option("--dry-run", is_flag=True, help="Show what would be tuned; train and write nothing.")
@click.option("--quiet", "-q", is_flag=True, help="Print the outcome alone: no progress.")
@json_option
@table_options
def launch_command(
    target: str | None,
    store: Path,
    data: Path | None,
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

    TARGET is a study of the catalog (digits), a file (my_study.py), or a file and a name in it
    (my_study.py:wide). The name is of a study, or of an Optuna objective: a function of a trial
    that returns a number.
    For a csv, parquet or npz file, or a folder of images or texts, a study file is written first,
    as by `new`. A script for Keras Tuner or Optuna runs up to its tuner.search(...) or
    study.optimize(...). This search becomes the study.

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
             optuna:gp, optuna:grid, keras-tuner:random,
             keras-tuner:bayesian, keras-tuner:hyperband
    pruners  none, median, percentile, successive-halving, hyperband, threshold

    Settings of an engine or a pruner follow its name: median,n_warmup_steps=3.
    """
    if target is None:
        raise click.UsageError(
            "Missing argument 'TARGET'. For a first study: kerastudy launch digits. To see "
            "all studies of the catalog: kerastudy list --catalog."
        )
    from search_spaces import Tailoring
    from studies.commands.study_as_text_and_json import (
        definition_document,
        definition_text,
        study_document,
        study_text,
        verdict_text,
    )
    from studies.launching import describe_target, launch_target
    from studies.user_code import resolve_target

    if is_data_target(target, data, of_table):
        from studies.new_study_file import study_file_of_data

        # With --dry-run, the study file goes into a temporary folder, so that no file is left.
        within = click.get_current_context().with_resource
        folder = within(tempfile.TemporaryDirectory()) if dry_run else ""
        target, column = str(study_file_of_data(Path(target), column, of_table, Path(folder))), None
    resolved = resolve_target(target)
    of_ray = _checked(RayOptions, settings)
    options = LaunchOptions(
        **_checked(LaunchOptions, settings),
        ray=RayOptions(**of_ray) if of_ray else None,
        store=store,
        progress=not quiet,
    )
    overrides = _checked(RecordedSettings, settings) | _checked(StudySettings, settings)
    tailoring = Tailoring.from_arguments(only, ranges)
    if not tailoring.empty:
        overrides["tailoring"] = tailoring
    other = data_to_use(data, column, " For a value at which the study ends, use --stop-at.")
    if dry_run:
        description = describe_target(resolved, options.place, overrides=overrides, data=other)
        answer(
            as_json, lambda: definition_document(description), lambda: definition_text(description)
        )
        return
    try:
        # Standard output is for results, so what the user's code prints goes to standard error.
        with contextlib.redirect_stdout(sys.stderr):
            history = launch_target(resolved, options, overrides=overrides, data=other)
    except KeyboardInterrupt:
        again = shlex.join(["kerastudy", *sys.argv[1:]])
        raise KeyboardInterrupt(
            f"nothing is lost. To resume, give the same command: {again}"
        ) from None
    text = verdict_text if quiet else study_text
    answer(as_json, lambda: study_document(history), lambda: text(history))


def _checked(kind: type, options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the values of those options that the user gave, and that `kind` declares.

    Errors name the option, e.g. ``--start-with`` for the setting `initial`.
    """
    return {
        name: setting.check(option_of(name, setting), options[name], error=StudyError)
        for name, setting in settings_of(kind).items()
        if options.get(name) is not None
    }
