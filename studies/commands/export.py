"""``kerastudy export``."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path
from typing import Any

import click

from search_spaces.texts import counted
from studies.commands.command_line import answer, common_options, data_option, trust_option
from studies.terminal_text import wrapped

_OF_TRIALS = ("script", "keras")
_FORMATS = (*_OF_TRIALS, "csv", "latex")


@click.command("export", short_help="Write a trial as plain Keras, or a study for other tools.")
@click.argument("study")
@click.option("--as", "format_", type=click.Choice(_FORMATS), required=True, help="See above.")
@click.option("--trial", type=int, help="The trial's number.  [default: the champion]")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="The file; for script the folder; - to print CSV.",
)
@click.option("--force", is_flag=True, help="Replace what --output names.")
@click.option("--engine", help="One engine's trials.")
@data_option
@trust_option
@common_options
@click.pass_context
def export_command(
    context: click.Context,
    study: str,
    format_: Any,
    trial: int | None,
    output: Path | None,
    force: bool,
    engine: str | None,
    data: str,
    trust: bool,
    store: Path | None,
    as_json: bool,
) -> None:
    """Write a trial as plain Keras, or a study for other tools.

    \b
    script   the study's files, and a script that trains the champion, or
             --trial, to the same weights by plain Keras, without kerastudy
    keras    the trial's model as a .keras file
    csv      a row for each trial
    latex    a table of the ten best trials, for a paper

    \b
    kerastudy export digits --as script
    kerastudy export digits --as script --trial 7 --output seven
    kerastudy export digits --as csv
    """
    from studies.commands.arguments import check_trusted, history_of
    from studies.exporting import export_keras, export_script, export_table, table_of
    from studies.progress import showing, waiting
    from studies.terminal_text import as_csv

    for option in ("trial", "data", "trust") if format_ not in _OF_TRIALS else ():
        if context.params[option] not in (None, False, ""):
            raise click.UsageError(f"--{option} is for --as script or --as keras alone.")
    if output == Path("-") and (format_ != "csv" or as_json):
        raise click.UsageError("--output - is for --as csv without --json: name a file.")
    if format_ in _OF_TRIALS:
        check_trusted(store, trust)
        write = export_script if format_ == "script" else export_keras
        history = history_of(study, engine, store)
        several = len(history.engines) > 1
        with showing() as progress:
            export: Any = write(history, trial, output, force=force, data=data, progress=progress)
    else:
        several = False
        first = history_of(study, engine, store)
        histories = [first, *(first.others if engine is None else ())]
        if output == Path("-"):
            click.echo(as_csv(table_of(histories)), nl=False)
            return
        with waiting("reading the trials"):
            export = export_table(histories, format_, output, force=force)
    document = {"as": format_}
    for name, value in dataclasses.asdict(export).items():
        document[name] = str(value) if isinstance(value, Path) else None if value == "" else value
    answer(as_json, lambda: document, lambda: "\n".join(_lines(export, several)))


def _lines(export: Any, name_engine: bool) -> list[str]:
    """Returns lines that name the written file or folder, and the command that runs a script.

    With `name_engine`, they name the trial's engine.
    """
    (path,) = (value for value in vars(export).values() if isinstance(value, Path))
    shown = str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
    kind = type(export).__name__
    what = counted(export.rows, "trial") if kind == "TableExport" else f"trial {export.trial}"
    engine = f" ({export.engine})" if name_engine else ""
    lines = [f"{shown}: {what} of {export.study}{engine}"]
    if kind == "ScriptExport":
        outcome = "its first epoch was tried, and is as recorded"
        if export.differs:
            outcome = f"here its first epoch differs: {export.differs}"
        lines += [*wrapped(outcome, 0), f"run it with: python {shlex.quote(shown)}"]
    return lines
