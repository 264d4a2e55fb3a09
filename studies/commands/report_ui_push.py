"""``kerastudy report``, ``ui`` and ``push``: a study in the browser, or on an MLflow server."""

from __future__ import annotations

import contextlib
import sys
import threading
import webbrowser
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from studies.commands.command_line import answer, common_options, history_of

if TYPE_CHECKING:
    from tracking.store import Store

open_option = click.option(
    "--open/--no-open",
    "open_browser",
    default=None,
    help="Whether to open a browser.  [default: on a terminal]",
)


@click.command("report", short_help="Make a report of a study.")
@click.argument("study")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write.  [default: in the study's folder]",
)
@open_option
@common_options
def report_command(
    study: str,
    output: Path | None,
    open_browser: bool | None,
    store: Path,
    as_json: bool,
) -> None:
    """Make a report of a study: one HTML file, which needs no network.

    MLflow shows it among the artifacts of the study's run.

    \b
    kerastudy report digits
    kerastudy report digits --output digits.html --no-open
    """
    from studies.exporting import explained, file_for
    from studies.progress import waiting
    from tracking.report import write_report
    from tracking.store import write_atomically

    if output is not None:
        # A report can be made again, so a new one replaces it without asking the user.
        output = file_for(output, "", force=True)
    history = history_of(study, store)
    with waiting("writing the report"):
        page = write_report(history)
        if output is not None:
            with explained(output):
                write_atomically(output, page.read_text(encoding="utf-8"))
            page = output
    document = {
        "study": history.description.name,
        "report": str(page),
        "url": page.as_uri(),
        "bytes": page.stat().st_size,
    }
    answer(as_json, lambda: document, lambda: str(page))
    _open_page(page.as_uri(), open_browser)


def _open_page(address: str, open_browser: bool | None) -> None:
    if open_browser or (open_browser is None and sys.stdout.isatty()):
        webbrowser.open(address)


@click.command("ui", short_help="Look at the store in the MLflow UI.")
@click.argument("study", required=False)
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    help="The UI's port.  [default: 5000, or the next]",
)
@open_option
@common_options
def ui_command(
    study: str | None,
    port: int | None,
    open_browser: bool | None,
    store: Path,
    as_json: bool,
) -> None:
    """Look at the store in the MLflow UI, until Ctrl-C.

    The UI can be opened on this machine only.

    \b
    kerastudy ui
    kerastudy ui digits
    kerastudy ui digits --port 5001
    """
    from search_spaces.errors import StoreError
    from studies.interruption import catching_interrupts
    from tracking.mlflow import VIEWS, free_place, read_notes, serving
    from tracking.store import existing_store

    place, name = free_place(port), None
    if study is None:
        opened = existing_store(store)
        folders = [folder for folder, _ in opened.studies()]
    else:
        history = history_of(study, store)
        opened, name = history.store, history.description.name
        folders = [history.folder]
    _bring_up_to_date(opened, folders, place.address)
    # For a named study, `views` has the addresses of its pages by view.
    views, short = dict[str, str](), place.studies_page
    if study is not None and (experiment := read_notes(history.folder)[0]):
        views = {view: place.study_page(experiment, view) for view in VIEWS}
        # The description on this page has links to the views.
        short = place.study_page(experiment)
    stopped = threading.Event()
    click.echo("starting MLflow's server …", err=True)
    # Ctrl-C is caught before the server starts, so that it always ends the server.
    with (
        catching_interrupts(stopped.set),
        contextlib.suppress(KeyboardInterrupt),
        serving(opened, place, stopped) as server,
    ):
        if not stopped.is_set():
            page = views.get("trials", place.studies_page)
            document = {
                "study": name,
                "url": page,
                "views": views,
                "address": place.address,
                "pid": server.pid,
            }
            answer(as_json, lambda: document, lambda: f"{short}\nCtrl-C stops it.")
            sys.stdout.flush()
            _open_page(page, open_browser)
        while server.poll() is None and not stopped.wait(0.2):
            pass
    if stopped.is_set():
        click.echo("stopped", err=True)
        return
    raise StoreError("MLflow's server ended by itself.")


def _bring_up_to_date(store: Store, folders: Sequence[Path], address: str) -> None:
    """Sends MLflow the results that it does not have yet.

    `address` is the address of the MLflow server that will show the studies in `folders`.
    """
    from tracking.mlflow import bring_up_to_date, open_store_client, write_address

    click.echo("bringing MLflow up to date …", err=True)
    # If the store has no studies yet, this creates its MLflow database.
    client = open_store_client(store)
    for folder in folders:
        bring_up_to_date(store, folder, lambda line: click.echo(line, err=True))
    write_address(client, address)


@click.command("push", short_help="Send a study to an MLflow server.")
@click.argument("study")
@click.option(
    "--tracking-uri",
    help="The MLflow server, such as http://127.0.0.1:5000.  "
    "[default: the server of the last launch, or $MLFLOW_TRACKING_URI]",
)
@common_options
def push_command(study: str, tracking_uri: str | None, store: Path, as_json: bool) -> None:
    """Send a study to an MLflow server: its runs, its definition and its champion.

    `kerastudy launch --tracking-uri` sends a study while it runs. `push` sends everything that the
    server does not have yet.

    \b
    kerastudy push digits
    kerastudy push digits --tracking-uri http://mlflow.example.org:5000
    """
    from search_spaces.errors import StudyError
    from studies.launching import server_for
    from studies.progress import waiting
    from tracking.mlflow import StudyExporter

    history = history_of(study, store)
    name = history.description.name
    address = server_for(history.store, name, tracking_uri)
    if address is None:
        raise StudyError(
            f"No MLflow server is known for the study {name!r}",
            hint="Name it with --tracking-uri, such as --tracking-uri http://127.0.0.1:5000.",
        )
    exporter = StudyExporter(history.store, history.folder, address, partial(click.echo, err=True))
    with waiting(f"sending {name} to {address}"):
        sent = exporter.update(whole=True)
    if not exporter.page:
        raise StudyError(
            f"The study {name!r} was deleted on the MLflow server {address}",
            hint="Restore it from the trash there, and push it again: push does not restore it.",
        )
    document = {"study": name, "server": address, "sent": sent, "page": exporter.page}
    text = f"{sent} runs of {name} sent; all of it is at {exporter.page}"
    answer(as_json, lambda: document, lambda: text)
