"""``kerastudy delete`` and ``kerastudy doctor``."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from studies.commands.command_line import EXIT_NO, answer, common_options
from studies.terminal_text import printable, wrapped

if TYPE_CHECKING:
    from tracking.store_doctor import StoreCheck, StoreFault


@click.command("delete", short_help="Delete a study for ever.")
@click.argument("study")
@click.option("--yes", is_flag=True, help="Don't ask.")
@common_options
def delete_command(study: str, yes: bool, store: Path | None, as_json: bool) -> None:
    """Delete a study for ever: its folder, with trials, checkpoints and the champion.

    The study's runs go to MLflow's trash, which `mlflow gc` empties. Exported files stay, and so
    does a copy of the study on an MLflow server. A running study can't be deleted.

    \b
    kerastudy delete digits
    kerastudy delete digits --yes
    """
    from search_spaces.errors import StoreError
    from search_spaces.texts import counted
    from studies.commands.arguments import store_of
    from studies.progress import waiting
    from tracking.history.study_history import delete_study, study_size
    from tracking.mlflow.exporter_process import forgetting

    opened = store_of(store)
    size = study_size(opened, study)
    text = f"{size.name}: {counted(size.trials, 'trial')}, {size.bytes / 1e6:.1f} MB of files"
    if not yes:
        if not sys.stdin.isatty():
            raise StoreError(f"{text}. Nothing was deleted: to delete it for ever, give --yes.")
        if not click.confirm(f"{text}. Delete it for ever?", err=True):
            click.echo("nothing was deleted", err=True)
            sys.exit(EXIT_NO)
    with waiting(f"deleting {size.name}"):
        delete_study(opened, size, forgetting)
    document = {**dataclasses.asdict(size), "server": size.server or None}
    document = {"study": document.pop("name"), **document, "folder": str(size.folder)}
    copy = f"\nits copy at {size.server} is still there" if size.server else ""
    answer(as_json, lambda: document, lambda: f"deleted {text}{copy}")


@click.command("doctor")
@click.option("--fix", is_flag=True, help="Mend what can be mended.")
@common_options
def doctor_command(store: Path | None, fix: bool, as_json: bool) -> None:
    """Find what is wrong in a store, and mend it.

    Checks the journals, the checkpoints by their checksums, the champions, and studies that a
    killed launch left in the state RUNNING. Running studies are not checked. With --fix, deletes
    only files that can be made again. If weights are missing or damaged, prints the command that
    trains the same weights again, bit for bit.

    Exits with 0 if nothing is wrong, or all is mended; else with 1.

    \b
    kerastudy doctor
    kerastudy doctor --fix
    kerastudy doctor --store ~/studies --json
    """
    from studies.progress import waiting
    from tracking.store.store_folder import default_store_path
    from tracking.store_doctor import examine_store

    root = store if store is not None else default_store_path()
    with waiting(f"checking the store {str(root)!r}"):
        check = examine_store(root, fix=fix)
    document = {
        "store": str(check.root),
        "findings": [dataclasses.asdict(fault) for fault in check.faults],
        "running": sorted(check.running),
    }
    answer(as_json, lambda: document, lambda: _check_text(check))
    sys.exit(EXIT_NO if check.left else 0)


def _check_text(check: StoreCheck) -> str:
    lines = [line for fault in check.faults for line in _fault_lines(fault)]
    lines += [
        f"running   {study} ({holder}): left alone"
        for study, holder in sorted(check.running.items())
    ]
    faults, left = len(check.faults), len(check.left)
    mended = f", {faults - left} mended" if faults > left else ""
    lines.append(f"{faults or 'nothing'} wrong in {str(check.root)!r}{mended}")
    if not sys.stdout.isatty():
        # The output goes to a file or a program. Lines are not wrapped, so that programs can read
        # them.
        return "\n".join(map(printable, lines))
    return "\n".join(part for line in lines for part in wrapped(line, indent=10))


def _fault_lines(fault: StoreFault) -> list[str]:
    engine = f" ({fault.engine})" if fault.engine else ""
    trial = "" if fault.trial is None else f", trial {fault.trial}"
    about = f"{fault.study}{engine}{trial}: " if fault.study else ""
    where = f" [{fault.path}]" if fault.path else ""
    line = f"{'mended' if fault.mended else 'wrong':10}{about}{fault.what}{where}"
    return [line] if fault.mended else [line, f"{'':10}{fault.how}"]
