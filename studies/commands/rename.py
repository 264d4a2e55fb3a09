"""``kerastudy rename``."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from studies.commands.command_line import json_option, store_option, tell, telling_errors


@click.command("rename", short_help="Give a study another name.")
@click.argument("study")
@click.argument("name")
@store_option
@json_option
@telling_errors
def rename_command(study: str, name: str, store: Path | None, as_json: bool) -> None:
    """Give a study another name; its registered model too.

    To resume it, launch its file with --name. A copy on an MLflow server keeps the former name.

    \b
    kerastudy rename digits "digits, first look"
    kerastudy launch digits --name "digits, first look"
    """  # noqa: D301 - click reads \b, which must not be escaped
    from studies.commands.output import print_json
    from studies.commands.reading import history_of
    from tracking.history.renaming import rename_study

    history = history_of(study, None, store)
    former = history.description.name
    name = rename_study(history.store, former, name)
    if as_json:
        print_json({"study": name, "former": former, "server": history.server or None})
        return
    tell(f"{former} is now {name}")
    if history.server:
        tell(f"its copy at {history.server} keeps the former name")
    tell(f"to resume it: kerastudy launch … --name {shlex.quote(name)}")
