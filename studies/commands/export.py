"""``kerastudy export``."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path

import click

from studies.commands.main import json_option, store_option, telling_errors
from studies.commands.trusting import check_trusted, trust_option
from studies.lines import wrapped

# Options that only some formats take.
_OPTIONS = {
    "trial": ("script",),
    "data": ("script",),
    "trust": ("script",),
    "output": ("script",),
    "force": ("script",),
    "storage": ("optuna",),
}


@click.command("export", short_help="Write a trial as plain Keras, or a study for other tools.")
@click.argument("study")
@click.option(
    "--as",
    "format_",
    type=click.Choice(["script", "optuna"]),
    required=True,
    help="script: a trial as one file of plain Keras.  "
    "optuna: a study for optuna-dashboard and optuna.load_study.",
)
@click.option("--trial", type=int, help="The trial's number.  [default: the best]")
@click.option(
    "--output", type=click.Path(path_type=Path), help="The file.  [default: named by study, here]"
)
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
@click.option("--engine", help="One engine's trials.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="script: the npz file with the data, if it has moved.",
)
@click.option(
    "--storage",
    help="optuna: address of the storage, such as sqlite:///digits.db.  "
    "[default: the file optuna.db in the store]",
)
@trust_option
@store_option
@json_option
@click.pass_context
@telling_errors
def export_command(
    context: click.Context,
    study: str,
    format_: str,
    trial: int | None,
    output: Path | None,
    force: bool,
    engine: str | None,
    data: Path | None,
    storage: str | None,
    trust: bool,
    store: Path | None,
    as_json: bool,
) -> None:
    """Write a trial as plain Keras, or a study for other tools.

    \b
    script       the best trial, or --trial, as one readable file of plain Keras
                 that ends with the same weights, without kerastudy
    optuna       each engine's trials as a study in an Optuna storage, or an
                 update of it there

    \b
    kerastudy export digits --as script
    kerastudy export digits --as script --trial 7 --output seven.py
    kerastudy export digits --as optuna --storage sqlite:///digits.db
    """  # noqa: D301 - click reads \b, which must not be escaped
    _check_options(context, format_)
    if format_ == "script":
        _export_script(study, engine, store, trial, output, force, data, trust, as_json)
    else:
        _export_optuna(study, engine, store, storage, as_json)


def _check_options(context: click.Context, format_: str) -> None:
    for option, formats in _OPTIONS.items():
        if context.params[option] and format_ not in formats:
            raise click.UsageError(
                f"--{option} is for --as {' and --as '.join(formats)}, not for --as {format_}."
            )


def _export_script(
    study: str,
    engine: str | None,
    store: Path | None,
    trial: int | None,
    output: Path | None,
    force: bool,
    data: Path | None,
    trust: bool,
    as_json: bool,
) -> None:
    from studies.commands.output import print_json
    from studies.commands.reading import history_of
    from studies.exporting.script import export_script
    from studies.progress import make_progress

    check_trusted(store, trust)
    history = history_of(study, engine, store)
    progress = make_progress()
    try:
        made = export_script(
            history,
            trial,
            output,
            force=force,
            data="" if data is None else str(data.expanduser().absolute()),
            progress=progress,
        )
    finally:
        progress.end()
    if as_json:
        document = {name: value or None for name, value in dataclasses.asdict(made).items()}
        paths = {name: str(value) for name, value in document.items() if isinstance(value, Path)}
        print_json({"as": "script", **document, **paths, "trial": made.trial})
        return
    lines = [str(made.script)]
    if made.data is not None:
        lines += wrapped(f"reads      {made.data.name}, its data, next to it: keep them together")
    elif made.reads:
        lines += wrapped(f"reads      {made.reads}")
    if made.imports:
        lines += wrapped(f"needs      kerastudy: the builder is imported, as {made.imports}")
    lines.append(f"run        python {shlex.quote(made.script.name)}")
    click.echo("\n".join(lines))


def _export_optuna(
    study: str, engine: str | None, store: Path | None, storage: str | None, as_json: bool
) -> None:
    from studies.commands.output import print_json
    from studies.commands.reading import history_of
    from studies.engines.optuna_export import export_optuna
    from studies.progress import waiting
    from tracking.history.study_history import read_study

    first = history_of(study, engine, store)
    name, engines = first.description.name, first.engines if engine is None else ()
    others = [each for each in engines if each != first.description.engine]
    histories = [first, *(read_study(first.store, name, each) for each in others)]
    begun = [history for history in histories if history.trials] or [first]
    with waiting("writing into Optuna's storage"):
        exports = [export_optuna(history, storage) for history in begun]
    if as_json:
        print_json({"study": name, "as": "optuna", "exports": [*map(dataclasses.asdict, exports)]})
        return
    for export in exports:
        click.echo(f"{export.study}: {export.trials} trials, {export.written} of them written")
    address = shlex.quote(exports[0].storage)
    click.echo(f"open them with: optuna-dashboard {address}")
    click.echo(f'or in Python: optuna.load_study(study_name="{exports[0].study}",')
    click.echo(f'                                storage="{exports[0].storage}")')
