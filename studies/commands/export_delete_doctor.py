"""``kerastudy export``, ``delete`` and ``doctor``."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from search_spaces.texts import counted
from studies.commands.command_line import (
    EXIT_NO,
    RecordedStudy,
    answer,
    common_options,
    history_of,
    recorded_study_options,
)
from studies.terminal_text import printable, printable_path, wrapped

if TYPE_CHECKING:
    from tracking.store_doctor import StoreCheck, StoreFault

_OF_TRIALS = ("script", "keras")
_FORMATS = (*_OF_TRIALS, "csv", "latex")


@click.command("export", short_help="Write a trial as plain Keras, or a study for other tools.")
@click.argument("study")
@click.option("--as", "format_", type=click.Choice(_FORMATS), required=True, help="The format.")
@click.option("--trial", type=int, help="The trial's number.  [default: the champion]")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="The file to write, or the folder of a script; - to print CSV.",
)
@click.option("--force", is_flag=True, help="Replace an existing file or folder.")
@recorded_study_options
def export_command(
    recorded: RecordedStudy, format_: Any, trial: int | None, output: Path | None, force: bool
) -> None:
    """Write a trial as plain Keras, or a study for other tools.

    \b
    script   the study's files, and a script that trains the champion, or the
             trial of --trial, to the same weights by plain Keras alone
    keras    the trial's model as a .keras file; for a table, also a script that
             predicts a CSV file by it, without kerastudy
    csv      a row for each trial
    latex    a table of the ten best trials, for a paper

    \b
    kerastudy export digits --as script
    kerastudy export digits --as script --trial 7 --output seven
    kerastudy export digits --as csv
    """
    from studies.exporting import export_keras, export_script, export_table
    from studies.progress import waiting
    from tracking.history import trials_table

    of_trials = {"trial": trial, "data": recorded.data or None, "trust": recorded.trust or None}
    for option, value in of_trials.items() if format_ not in _OF_TRIALS else ():
        if value is not None:
            raise click.UsageError(f"--{option} is for --as script or --as keras only.")
    if output == Path("-") and (format_ != "csv" or recorded.as_json):
        raise click.UsageError(
            "--output - prints CSV: give --as csv without --json, or name a file."
        )
    if format_ in _OF_TRIALS:
        write = export_script if format_ == "script" else export_keras
        with recorded.opened() as study:
            export: Any = write(
                study.history,
                trial,
                output,
                force=force,
                data=recorded.data,
                progress=study.progress,
            )
    else:
        history = history_of(recorded.study, recorded.store)
        if output == Path("-"):
            click.echo(trials_table(history).to_csv(index=False), nl=False)
            return
        with waiting("reading the trials"):
            export = export_table(history, format_, output, force=force)
    fields = dataclasses.asdict(export).items()
    document = {"as": format_, **{name: None if value == "" else value for name, value in fields}}
    answer(recorded.as_json, lambda: document, lambda: "\n".join(_export_lines(export)))


def _export_lines(export: Any) -> list[str]:
    """Returns lines that name the written file or folder, and the command that runs a script."""
    from studies.exporting import KerasExport, ScriptExport, TableExport

    path = next(value for value in vars(export).values() if isinstance(value, Path))
    place = printable_path(path)
    is_table = isinstance(export, TableExport)
    what = counted(export.rows, "trial") if is_table else f"trial {export.trial}"
    lines = [f"{place}: {what} of {export.study}"]
    if isinstance(export, ScriptExport):
        outcome = "its first epoch was tried, and is as recorded"
        if export.differs:
            outcome = f"here its first epoch differs: {export.differs}"
        lines += [*wrapped(outcome, 0), f"run it with: python {shlex.quote(place)}"]
    if isinstance(export, KerasExport) and export.script is not None:
        script = shlex.quote(printable_path(export.script))
        lines.append(f"predict with: python {script} new.csv > predictions.csv")
    return lines


@click.command("delete", short_help="Delete a study for ever.")
@click.argument("study")
@click.option("--yes", is_flag=True, help="Don't ask.")
@common_options
def delete_command(study: str, yes: bool, store: Path, as_json: bool) -> None:
    """Delete a study for ever: its folder, with trials, checkpoints and the champion.

    The study's runs go to MLflow's trash, which `mlflow gc` empties. Exported files stay, and so
    does a copy of the study on an MLflow server. A running study can't be deleted.

    \b
    kerastudy delete digits
    kerastudy delete digits --yes
    """
    from search_spaces.errors import StoreError
    from studies.progress import waiting
    from tracking.history import delete_study, study_size
    from tracking.mlflow import forgetting
    from tracking.store import existing_store

    opened = existing_store(store)
    size = study_size(opened, study)
    text = f"{size.name}: {counted(size.trials, 'trial')}, {size.bytes / 1e6:.1f} MB of files"
    if not yes:
        if not sys.stdin.isatty():
            raise StoreError(f"{text}. Nothing was deleted", hint="To delete it, give --yes.")
        if not click.confirm(f"{text}. Delete it for ever?", err=True):
            click.echo("nothing was deleted", err=True)
            sys.exit(EXIT_NO)
    with waiting(f"deleting {size.name}"):
        delete_study(opened, size, forgetting)
    document = {
        "study": size.name,
        "folder": size.folder,
        "trials": size.trials,
        "bytes": size.bytes,
        "server": size.server or None,
    }
    copy = f"\nits copy at {size.server} is still there" if size.server else ""
    answer(as_json, lambda: document, lambda: f"deleted {text}{copy}")


@click.command("doctor")
@click.option("--fix", is_flag=True, help="Mend what can be mended.")
@common_options
def doctor_command(store: Path, fix: bool, as_json: bool) -> None:
    """Find what is wrong in a store, and mend it.

    Checks the journals, the checkpoints by their checksums, the champions, and studies that a
    killed launch left in the state RUNNING. Studies that are being launched are not
    checked. With --fix, deletes only files that can be made again. If weights are missing or
    damaged, prints the command that trains the same weights again, bit for bit.

    Exits with 0 if nothing is wrong, or all is mended; else with 1.

    \b
    kerastudy doctor
    kerastudy doctor --fix
    kerastudy doctor --store ~/studies --json
    """
    from studies.progress import waiting
    from tracking.store_doctor import examine_store

    with waiting(f"checking the store {str(store)!r}"):
        check = examine_store(store, fix=fix)
    document = {
        "store": str(check.root),
        "findings": [dataclasses.asdict(fault) for fault in check.faults],
        "running": sorted(check.running),
    }
    answer(as_json, lambda: document, lambda: _check_text(check))
    sys.exit(EXIT_NO if check.open_faults else 0)


def _check_text(check: StoreCheck) -> str:
    lines = [line for fault in check.faults for line in _fault_lines(fault)]
    lines += [
        f"running   {study} ({holder}): left alone"
        for study, holder in sorted(check.running.items())
    ]
    faults, open_faults = len(check.faults), len(check.open_faults)
    mended = f", {faults - open_faults} mended" if faults > open_faults else ""
    lines.append(f"{faults or 'nothing'} wrong in {str(check.root)!r}{mended}")
    if not sys.stdout.isatty():
        # The output goes to a file or a program. Lines are not wrapped, so that programs can read
        # them.
        return "\n".join(map(printable, lines))
    return "\n".join(part for line in lines for part in wrapped(line, indent=10))


def _fault_lines(fault: StoreFault) -> list[str]:
    trial = "" if fault.trial is None else f", trial {fault.trial}"
    about = f"{fault.study}{trial}: " if fault.study else ""
    where = f" [{fault.path}]" if fault.path else ""
    line = f"{'mended' if fault.mended else 'wrong':10}{about}{fault.what}{where}"
    return [line] if fault.mended else [line, f"{'':10}{fault.how}"]
