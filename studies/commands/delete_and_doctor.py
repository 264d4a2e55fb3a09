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
    from tracking.doctor import Diagnosis, Finding


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
    from tracking.mlflow.process import forgetting

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
    from tracking.doctor import diagnose
    from tracking.store.store_folder import default_store_path

    root = store if store is not None else default_store_path()
    with waiting(f"checking the store {str(root)!r}"):
        diagnosis = diagnose(root, fix=fix)
    document = {
        "store": str(diagnosis.root),
        "findings": [dataclasses.asdict(finding) for finding in diagnosis.findings],
        "running": sorted(diagnosis.at_work),
        "unread": diagnosis.unread,
    }
    answer(as_json, lambda: document, lambda: _doctor_text(diagnosis))
    sys.exit(EXIT_NO if diagnosis.left else 0)


def _doctor_text(diagnosis: Diagnosis) -> str:
    lines = [line for finding in diagnosis.findings for line in _finding_lines(finding)]
    lines += [
        f"running   {study} ({holder}): left alone"
        for study, holder in sorted(diagnosis.at_work.items())
    ]
    if diagnosis.unread:
        lines.append(f"not checked: {diagnosis.unread}")
    faults, left = len(diagnosis.findings), len(diagnosis.left)
    mended = f", {faults - left} mended" if faults > left else ""
    lines.append(f"{faults or 'nothing'} wrong in {str(diagnosis.root)!r}{mended}")
    if not sys.stdout.isatty():
        # The lines are not wrapped, so that programs can read them.
        return "\n".join(map(printable, lines))
    return "\n".join(part for line in lines for part in wrapped(line, indent=10))


def _finding_lines(finding: Finding) -> list[str]:
    engine = f" ({finding.engine})" if finding.engine else ""
    trial = "" if finding.trial is None else f", trial {finding.trial}"
    about = f"{finding.study}{engine}{trial}: " if finding.study else ""
    where = f" [{finding.path}]" if finding.path else ""
    line = f"{'mended' if finding.mended else 'wrong':10}{about}{finding.what}{where}"
    return [line] if finding.mended else [line, f"{'':10}{finding.how}"]
