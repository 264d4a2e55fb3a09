"""``kerastudy new``."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import click

from studies.commands.command_line import json_option, tell, telling_errors

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
@telling_errors
def new_command(
    file: Path,
    data: Path | None,
    target: str | None,
    kind: Any,
    catalog: str | None,
    as_json: bool,
) -> None:
    """Write a study file to start from, with comments: data, model, search space.

    On a terminal it asks for the data. It replaces no file.

    \b
    kerastudy new my_study.py
    kerastudy new houses.py --data houses.csv --target price --kind regression
    kerastudy new images.py --data images.npz
    kerastudy new flowers.py --data photos/
    kerastudy new my_study.py --from digits
    """  # noqa: D301 - click reads \b, which must not be escaped
    from studies.commands.output import print_json
    from studies.starting.write import check_new, write_study

    given = [name for name, value in (("data", data), ("kind", kind)) if value is not None]
    if catalog is not None and (given or target is not None):
        raise click.UsageError("--from copies a study as it stands; leave --data and others out.")
    if data is None and (target is not None or kind is not None):
        raise click.UsageError("--target and --kind describe --data FILE; give it too.")
    check_new(file)
    asks = sys.stdin.isatty() and sys.stderr.isatty() and not as_json
    if catalog is None and asks:
        data, target, kind = _asked(data, target, kind)
    name, notes = write_study(file, data=data, target=target, kind=kind, catalog=catalog)
    for note in notes:
        click.echo(f"note: {note}", err=True)
    shown = shlex.quote(str(file))
    if as_json:
        print_json({"file": str(file.expanduser().absolute()), "study": name})
    else:
        tell(f"{file}: a study file to start from. Read it, change it, then:")
        tell(f"  kerastudy launch {shown} --dry-run\n  kerastudy launch {shown}")


def _asked(data: Path | None, target: str | None, kind: Any) -> tuple[Path | None, str | None, Any]:
    """Asks for what was not given."""
    from studies.data.tables.files import is_table
    from studies.starting.files import columns, read_samples

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
