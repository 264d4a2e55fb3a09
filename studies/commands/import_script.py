"""``kerastudy import``."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from studies.commands.main import json_option, tell, telling_errors
from studies.lines import wrapped

if TYPE_CHECKING:
    from studies.importing.import_script import ScriptImport


@click.command("import", short_help="Make a study file of a Keras Tuner or Optuna script.")
@click.argument("script", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="The study file.  [default: SCRIPT_study.py next to the script]",
)
@click.option("--force", is_flag=True, help="Replace it if it exists.")
@json_option
@telling_errors
def import_command(
    script: Path, arguments: tuple[str, ...], output: Path | None, force: bool, as_json: bool
) -> None:
    """Make a study file of a Keras Tuner or Optuna script, which stays as it is.

    The script runs, but only up to its tuner.search(...) or study.optimize(...), which is read and
    not carried out. The study file has the script's data and builder, and the settings of its
    search. SCRIPT may be a notebook. ARGUMENTS, after --, are the script's own.

    \b
    kerastudy import tune.py
    kerastudy import tune.py --output my_study.py
    kerastudy import tune.py -- --epochs 5
    kerastudy launch tune_study.py
    """  # noqa: D301 - click reads \b, which must not be escaped
    from studies.commands.output import print_json
    from studies.importing.import_script import import_script

    with contextlib.redirect_stdout(sys.stderr):
        click.echo(f"running {script} up to its search; the search does not run", err=True)
        done = import_script(script, output, arguments, force=force)
    if as_json:
        print_json(_document(done))
    else:
        tell(_text(done))


def _document(done: ScriptImport) -> dict[str, Any]:
    return {
        "file": str(done.path),
        "script": str(done.script),
        "study": done.name,
        "origin": done.origin,
        "not_carried_over": list(done.notes),
        "lines_left_out": list(done.left_out),
        "launch": _launch(done),
    }


def _text(done: ScriptImport) -> str:
    shown = _shown(done.path)
    lines = [*wrapped(f"wrote {shown}: the study {done.name!r}, from {done.origin}", indent=2)]
    if done.notes:
        lines += ["", "not carried over"]
        for note in done.notes:
            lines += wrapped(f"  - {note}", indent=4)
    if done.left_out:
        noun = "line" if len(done.left_out) == 1 else "lines"
        places = f"{noun} {', '.join(map(str, done.left_out))}"
        lines += ["", *wrapped(f"left out, as the study needs none of it: {places}", indent=2)]
    return "\n".join([*lines, "", "next", f"  {_launch(done)}"])


def _launch(done: ScriptImport) -> str:
    return f"kerastudy launch {shlex.quote(_shown(done.path))}{done.options}"


def _shown(path: Path) -> str:
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)
