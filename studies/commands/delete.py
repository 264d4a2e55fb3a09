"""``kerastudy delete``."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import click

from studies.commands.command_line import EXIT_NO, json_option, store_option, tell, telling_errors


@click.command("delete", short_help="Delete a study for ever.")
@click.argument("study")
@click.option("--yes", is_flag=True, help="Don't ask.")
@store_option
@json_option
@telling_errors
def delete_command(study: str, yes: bool, store: Path | None, as_json: bool) -> None:
    """Delete a study for ever: trials, checkpoints, artifacts, registered model.

    Also one that was deleted in MLflow, whose trash keeps everything. What was exported stays, and
    so does a copy on an MLflow server. A study that runs is refused.

    \b
    kerastudy delete digits
    kerastudy delete digits --yes
    """  # noqa: D301 - click reads \b, which must not be escaped
    from search_spaces.errors import StoreError
    from studies.commands.output import print_json
    from studies.commands.reading import store_of
    from studies.progress import waiting
    from tracking.runs.experiments import delete_study, study_size

    opened = store_of(store)
    size = study_size(opened, study)
    models = f", the registered model {' and '.join(size.models)}" if size.models else ""
    what = f"{size.name}: {size.runs} runs{models}, {size.bytes / 1e6:.1f} MB of files"
    if not yes:
        if not sys.stdin.isatty():
            raise StoreError(f"{what}. Nothing was deleted: to delete it for ever, give --yes.")
        if not click.confirm(f"{what}. Delete it for ever?", err=True):
            click.echo("nothing was deleted", err=True)
            sys.exit(EXIT_NO)
    with waiting(f"deleting {size.name}"):
        delete_study(opened, size.name)
    if as_json:
        document = {**dataclasses.asdict(size), "server": size.server or None}
        print_json(
            {"study": document.pop("name"), "was_in_trash": document.pop("deleted"), **document}
        )
        return
    tell(f"deleted {what}")
    if size.server:
        tell(f"its copy at {size.server} is still there")
