"""``kerastudy push``."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from studies.commands.command_line import json_option, store_option, tell, telling_errors


@click.command("push", short_help="Send a study to an MLflow server.")
@click.argument("study")
@click.option(
    "--tracking-uri",
    help="The MLflow server, such as http://127.0.0.1:5000.  "
    "[default: the one it was launched with, or $MLFLOW_TRACKING_URI]",
)
@store_option
@json_option
@telling_errors
def push_command(study: str, tracking_uri: str | None, store: Path | None, as_json: bool) -> None:
    """Send a study to an MLflow server: its runs, its definition and its champion.

    `kerastudy launch --tracking-uri` does so while the study runs. This sends the rest, or a study
    that was launched without. It does not send again what the server has.

    \b
    kerastudy push digits
    kerastudy push digits --tracking-uri http://mlflow.example.org:5000
    """  # noqa: D301 - click reads \b, which must not be escaped
    from search_spaces.errors import StudyError
    from studies.commands.output import print_json
    from studies.commands.reading import history_of
    from studies.launching.opening import server_for
    from tracking.mirror import StudyCopy

    history = history_of(study, None, store)
    opened, name = history.store, history.description.name
    address = server_for(opened, name, tracking_uri)
    if address is None:
        raise StudyError(
            f"No MLflow server is known for the study {name!r}. Name it with --tracking-uri, "
            "such as --tracking-uri http://127.0.0.1:5000."
        )
    copy = StudyCopy(opened, name, address)
    with opened.lock_study(name, history.experiment_id):
        copy.open()
        missing = copy.missing()
        with _progress(missing) as runs:
            for run_id in runs:
                copy.send(run_id)
        if copy.fault:
            raise StudyError(f"{copy.fault} The study's runs are there; its files are not.")
        copy.send_page()
        copy.send_champion()
    if as_json:
        print_json({"study": name, "server": address, "sent": len(missing), "page": copy.page})
    else:
        tell(f"{len(missing)} runs of {name} sent; all of it is at {copy.page}")


@contextmanager
def _progress(missing: list[str]) -> Iterator[Iterable[str]]:
    if not sys.stderr.isatty():
        yield missing
        return
    with click.progressbar(missing, label="runs", file=sys.stderr) as bar:
        yield bar
