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

    On a terminal it asks for the data. It replaces no file.

    \b
    kerastudy new my_study.py
    kerastudy new houses.py --data houses.csv --target price --kind regression
    kerastudy new images.py --data images.npz
    kerastudy new flowers.py --data photos/
    kerastudy new my_study.py --from digits
    """
    from studies.starting import check_new, write_study

    options = [name for name, value in (("data", data), ("kind", kind)) if value is not None]
    if catalog is not None and (options or target is not None):
        raise click.UsageError("--from copies a study as it stands; leave --data and others out.")
    if data is None and (target is not None or kind is not None or of_table):
        raise click.UsageError("--target and --kind describe --data FILE; give it too.")
    check_new(file)
    asks = sys.stdin.isatty() and sys.stderr.isatty() and not as_json
    if catalog is None and asks:
        data, target, kind = _asked(data, target, kind)
    name, notes = write_study(
        file, data=data, target=target, kind=kind, catalog=catalog, options=of_table
    )
    for note in notes:
        click.echo(f"note: {note}", err=True)
    document = {"file": str(file.expanduser().absolute()), "study": name}
    launch = f"kerastudy launch {shlex.quote(str(file))}"
    text = f"{file}: a study file to start from. Read it, change it, then:\n  {launch} --dry-run"
    answer(as_json, lambda: document, lambda: f"{text}\n  {launch}")


def _asked(data: Path | None, target: str | None, kind: Any) -> tuple[Path | None, str | None, Any]:
    """Asks the user for the options that were left out, and returns all three."""
    from studies.data import is_table
    from studies.starting import columns, read_samples

    if data is None:
        text = click.prompt(
            "Data file or folder (csv, parquet, npz; empty: handwritten digits)",
            default="",
            show_default=False,
            err=True,
        )
        data = Path(text).expanduser() if text else None
    if data is None:
        return None, None, None
    if is_table(data.name) and not data.is_dir() and target is None:
        names = columns(data)
        click.echo(f"Columns: {', '.join(names)}", err=True)
        target = click.prompt("Which one to predict", default=names[-1], err=True)
    if kind is None:
        looks = read_samples(data, target, None).kind
        kind = click.prompt("What it is", default=looks, type=click.Choice(KINDS), err=True)
    return data, target, kind


@click.command("data", short_help="Look at a study's data before a model is trained on it.")
@click.argument("target")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="A file in place of the study's own data: npz (x_train, y_train, …), csv or parquet; or a "
    "folder of images or texts.",
)
@click.option("--target", "column", help="The column to predict, of a csv or parquet file.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A PNG file to write: a picture of the samples, if they are images.",
)
@common_options
@table_options
def data_command(
    target: str,
    data: Path | None,
    column: str | None,
    output: Path | None,
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
    kerastudy data digits --output digits.png
    kerastudy data digits --json
    """
    from studies.commands.records import OF_ALONE, data_to_use, is_data_alone
    from studies.commands.texts.findings_text import data_text
    from studies.data_check import check_file, check_target
    from studies.exporting import file_for, written
    from studies.user_code import resolve_target

    alone = data is None and is_data_alone(target)
    if of_table and not alone:
        raise click.UsageError(OF_ALONE)
    found_target = None if alone else resolve_target(target, "data")
    data = Path(target) if alone else data
    if output is not None:
        output = file_for(output, "", force=True)
    other = data_to_use(data, column)
    # Standard output is for results, and the user's code may print.
    with contextlib.redirect_stdout(sys.stderr):
        if found_target is None:
            recorded: list[str] = []
            outcome = check_file(other, of_table)
        else:
            outcome, recorded = check_target(found_target, other, store)
    if output is not None and outcome.picture:
        with written(output, "", force=True) as (_, partial):
            partial.write_bytes(outcome.picture)
    elif output is not None:
        click.echo("note: the samples are no images, so there is no picture", err=True)
    answer(
        as_json,
        lambda: {**outcome.document(), "recorded": recorded},
        lambda: "\n".join(data_text(outcome, recorded)),
    )
