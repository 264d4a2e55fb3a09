"""``kerastudy data``."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import click

from studies.commands.command_line import json_option, store_option, tell, telling_errors


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
@store_option
@json_option
@telling_errors
def data_command(
    target: str,
    data: Path | None,
    column: str | None,
    output: Path | None,
    store: Path | None,
    as_json: bool,
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
    """  # noqa: D301 - click reads \b, which must not be escaped
    from search_spaces.errors import StudyError
    from studies.commands.output import print_json
    from studies.commands.texts.data_text import data_text
    from studies.data.replacing import is_data, spelled
    from studies.data.tables.files import is_table
    from studies.exporting.asked import check_free, explained
    from studies.launching.checking_data import check_file, check_target
    from studies.user_code.targets import catalog_names, resolve_target
    from tracking.store.atomic import followed, replacing

    # Data without a study. A folder may have the name of a study.
    alone = (
        data is None and target not in catalog_names() and is_data(str(Path(target).expanduser()))
    )
    found_target = None if alone else resolve_target(target, "data")
    data = Path(target) if alone else data
    if output is not None:
        output = output.expanduser().absolute()
        check_free(output, force=True)
        output = followed(output)
    if column is not None and (data is None or not is_table(str(data))):
        raise StudyError("--target names the column to predict of a table: FILE.csv, or --data.")
    path = "" if data is None else str(data.expanduser().absolute())
    other = spelled(path, column or "")
    # What code of the user's prints in this process is no result.
    with contextlib.redirect_stdout(sys.stderr):
        if found_target is None:
            recorded: list[str] = []
            found = check_file(other)
        else:
            found, recorded = check_target(found_target, other, store)
    if output is not None and found.picture:
        with explained(output), replacing(output) as partial:
            partial.write_bytes(found.picture)
    elif output is not None:
        click.echo("note: the samples are no images, so there is no picture", err=True)
    if as_json:
        print_json({**found.document(), "recorded": recorded})
        return
    tell("\n".join(data_text(found, recorded)))
