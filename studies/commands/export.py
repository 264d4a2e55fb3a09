"""``kerastudy export``."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path

import click

from studies.commands.main import json_option, store_option, telling_errors


@click.command("export", short_help="Write a study for other tools.")
@click.argument("study")
@click.option(
    "--as",
    "format_",
    type=click.Choice(["optuna"]),
    required=True,
    help="optuna: a study for optuna-dashboard and optuna.load_study.",
)
@click.option(
    "--storage",
    help="Address of Optuna's storage, such as sqlite:///digits.db.  "
    "[default: the file optuna.db in the store]",
)
@click.option("--engine", help="One engine's trials.  [default: a study for each engine]")
@store_option
@json_option
@telling_errors
def export_command(
    study: str,
    format_: str,
    storage: str | None,
    engine: str | None,
    store: Path | None,
    as_json: bool,
) -> None:
    """Write a study into an Optuna storage, or update it there.

    Each engine's trials become one Optuna study, such as "digits (optuna:tpe)", with the recorded
    numbers, parameters and objectives by epoch. Infeasible trials fail there, interrupted ones
    wait. Trials that are up to date are not written again. Nothing is read back into the record.

    \b
    kerastudy export digits --as optuna
    kerastudy export digits --as optuna --storage sqlite:///digits.db
    """  # noqa: D301 - click reads \b, which must not be escaped
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
        print_json({"study": name, "as": format_, "exports": [*map(dataclasses.asdict, exports)]})
        return
    for export in exports:
        click.echo(f"{export.study}: {export.trials} trials, {export.written} of them written")
    address = shlex.quote(exports[0].storage)
    click.echo(f"open them with: optuna-dashboard {address}")
    click.echo(f'or in Python: optuna.load_study(study_name="{exports[0].study}",')
    click.echo(f'                                storage="{exports[0].storage}")')
