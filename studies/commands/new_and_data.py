"""Prepares a study: ``kerastudy new`` and ``kerastudy data``."""

from __future__ import annotations

import contextlib
import shlex
import sys
from pathlib import Path
from typing import Any

import click

from studies.commands.command_line import (
    answer,
    common_options,
    json_option,
    table_options,
)

KINDS = ("classification", "binary", "regression")


@click.command("new", short_help="Write a study file to start from.")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Your data: a csv, parquet or npz file, or a folder of images or texts with a subfolder "
    "for each class.  [default: handwritten digits]",
)
@click.option("--target", help="The column to predict, of a csv or parquet file.")
@click.option(
    "--kind",
    type=click.Choice(KINDS),
    help="What the targets are.  [default: as they look]",
)
@click.option("--from", "catalog", metavar="NAME", help="Copy a study of the catalog instead.")
@json_option
@table_options
def new_command(
    file: Path,
    data: Path | None,
    target: str | None,
    kind: Any,
    catalog: str | None,
    as_json: bool,
    of_table: dict[str, Any],
) -> None:
    """Write a study file to start from, with all choices: data, model, search space.

    Without --data it is on handwritten digits. It replaces no file.

    \b
    kerastudy new my_study.py
    kerastudy new houses.py --data houses.csv --target price --kind regression
    kerastudy new images.py --data images.npz
    kerastudy new flowers.py --data photos/
    kerastudy new my_study.py --from digits
    """
    from studies.new_study_file import check_new, write_study

    options = [name for name, value in (("data", data), ("kind", kind)) if value is not None]
    if catalog is not None and (options or target is not None):
        raise click.UsageError("--from copies a study as it stands; leave --data and others out.")
    if data is None and (target is not None or kind is not None or of_table):
        raise click.UsageError("--target and --kind describe --data FILE; give it too.")
    check_new(file)
    name, notes = write_study(
        file, data=data, target=target, kind=kind, catalog=catalog, options=of_table
    )
    for note in notes:
        click.echo(f"note: {note}", err=True)
    document = {"file": str(file.expanduser().absolute()), "study": name}
    launch = f"kerastudy launch {shlex.quote(str(file))}"
    text = f"{file}: a study file to start from. Read it, change it, then:\n  {launch} --dry-run"
    answer(as_json, lambda: document, lambda: f"{text}\n  {launch}")


@click.command("data", short_help="Look at a study's data before a model is trained on it.")
@click.argument("target")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="A file in place of the study's own data: npz (x_train, y_train, …), csv or parquet; or a "
    "folder of images or texts.",
)
@click.option("--target", "column", help="The column to predict, of a csv or parquet file.")
@common_options
@table_options
def data_command(
    target: str,
    data: Path | None,
    column: str | None,
    store: Path | None,
    as_json: bool,
    of_table: dict[str, Any],
) -> None:
    """Look at a study's data: is it what you think it is?

    Sizes and classes by part, missing and constant columns, samples that are in two parts, and
    whether training, validation and test samples come from the same distribution. That one is asked
    of a classifier, which must guess which part a sample is from.

    It takes some seconds. The targets of the test part stay sealed. TARGET is what `launch` takes;
    or a csv, parquet or npz file, or a folder of images or texts, which is split as a study would
    by default. If the study is in the store, its report shows what was found.

    \b
    kerastudy data digits
    kerastudy data houses.csv --target price
    kerastudy data my_study.py --data houses.csv --target price
    kerastudy data digits --json
    """
    from studies.check_data import check_file, check_target
    from studies.commands.records import OF_ALONE, data_to_use, is_data_alone
    from studies.commands.texts.findings_text import data_text
    from studies.user_code import resolve_target

    alone = data is None and is_data_alone(target)
    if of_table and not alone:
        raise click.UsageError(OF_ALONE)
    found_target = None if alone else resolve_target(target)
    data = Path(target) if alone else data
    other = data_to_use(data, column)
    # Standard output is for results, and the user's code may print.
    with contextlib.redirect_stdout(sys.stderr):
        if found_target is None:
            recorded: list[str] = []
            outcome = check_file(other, of_table)
        else:
            outcome, recorded = check_target(found_target, other, store)
    answer(
        as_json,
        lambda: {**outcome.document(), "recorded": recorded},
        lambda: "\n".join(data_text(outcome, recorded)),
    )
