"""``kerastudy doctor``."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from studies.commands.command_line import EXIT_NO, json_option, store_option, tell, telling_errors
from studies.commands.trusting import check_trusted, trust_option
from studies.lines import printable, wrapped

if TYPE_CHECKING:
    from studies.doctor import Diagnosis
    from tracking.doctor.findings import Finding


@click.command("doctor")
@click.option("--fix", is_flag=True, help="Mend what can be mended.")
@trust_option
@store_option
@json_option
@telling_errors
def doctor_command(store: Path | None, fix: bool, trust: bool, as_json: bool) -> None:
    """Find what is wrong in a store, and mend it.

    Checks the database, the runs left RUNNING, the checkpoints by their checksums, the registered
    models, and files without a study. Leaves running studies alone. Deletes only files that can be
    made again; moves files without a study to the store's folder orphans. At the end, --fix trains
    trials again, bit for bit, whose weights are missing or damaged, by the code recorded with the
    study; Ctrl-C leaves them for later.

    Exits with 0 if nothing is wrong, or all is mended; else with 1.

    \b
    kerastudy doctor
    kerastudy doctor --fix
    kerastudy doctor --store ~/studies --json
    """  # noqa: D301 - click reads \b, which must not be escaped
    from studies.commands.output import print_json
    from studies.doctor import diagnose
    from studies.progress import make_progress
    from tracking.store.folder import default_store_path

    if fix:
        check_trusted(store, trust)
    progress = make_progress()
    try:
        root = store if store is not None else default_store_path()
        if sys.stderr.isatty():
            progress.wait(f"checking the store {str(root)!r}")
        diagnosis = diagnose(root, fix=fix, progress=progress)
    finally:
        progress.end()
    if as_json:
        print_json(
            {
                "store": str(diagnosis.root),
                "findings": [dataclasses.asdict(finding) for finding in diagnosis.findings],
                "running": sorted(diagnosis.at_work),
                "deleted": dict(sorted(diagnosis.deleted.items())),
                "unread": diagnosis.unread,
            }
        )
    else:
        tell(_text(diagnosis))
    sys.exit(EXIT_NO if diagnosis.left else 0)


def _text(diagnosis: Diagnosis) -> str:
    lines = [line for finding in diagnosis.findings for line in _lines(finding)]
    lines += [
        f"running   {study} ({holder}): left alone"
        for study, holder in sorted(diagnosis.at_work.items())
    ]
    lines += [f"deleted   {study}: {left}" for study, left in sorted(diagnosis.deleted.items())]
    if diagnosis.unread:
        lines.append(f"not checked: {diagnosis.unread}")
    found, left = len(diagnosis.findings), len(diagnosis.left)
    mended = f", {found - left} mended" if found > left else ""
    lines.append(f"{found or 'nothing'} wrong in {str(diagnosis.root)!r}{mended}")
    if not sys.stdout.isatty():
        # A line each for programs.
        return "\n".join(map(printable, lines))
    return "\n".join(part for line in lines for part in wrapped(line, indent=10))


def _lines(finding: Finding) -> list[str]:
    engine = f" ({finding.engine})" if finding.engine else ""
    trial = "" if finding.trial is None else f", trial {finding.trial}"
    about = f"{finding.study}{engine}{trial}: " if finding.study else ""
    where = f" [{finding.path}]" if finding.path else ""
    found = f"{'mended' if finding.mended else 'wrong':10}{about}{finding.what}{where}"
    return [found] if finding.mended else [found, f"{'':10}{finding.how}"]
