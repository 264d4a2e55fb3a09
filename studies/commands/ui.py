"""``kerastudy ui``."""

from __future__ import annotations

import contextlib
import sys
import threading
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

import click

from studies.commands.command_line import json_option, store_option, tell, telling_errors

if TYPE_CHECKING:
    from tracking.store.folder import Store

# Studies whose addresses are printed if none is named, the last changed first.
_SHOWN = 10


@click.command("ui", short_help="Look at the store in the MLflow UI.")
@click.argument("study", required=False)
@click.option("--engine", help="Which engine's run to open.  [default: that of the best trial]")
@click.option(
    "--view",
    type=click.Choice(["trials", "charts", "curves"]),
    default="trials",
    show_default=True,
    help="Which prepared view of the study to open.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    help="Where to listen: 0.0.0.0 lets other machines look too, with a token that is printed.  "
    "[default: this machine alone]",
)
@click.option("--port", type=click.IntRange(1, 65535), help="[default: 5000 or the next free]")
@click.option("--token", is_flag=True, help="Ask for a token on this machine too.")
@click.option(
    "--open/--no-open",
    "open_browser",
    default=None,
    help="Whether to open a browser.  [default: on a terminal]",
)
@store_option
@json_option
@telling_errors
def ui_command(
    study: str | None,
    engine: str | None,
    view: str,
    host: str,
    port: int | None,
    token: bool,
    open_browser: bool | None,
    store: Path | None,
    as_json: bool,
) -> None:
    """Look at the store in the MLflow UI, until Ctrl-C.

    It is for this machine alone, unless you ask for more with --host. Who has the token may change
    studies too, and a network can read it: use --host in a network that you trust.

    \b
    kerastudy ui
    kerastudy ui digits
    kerastudy ui digits --view charts --port 5001
    kerastudy ui digits --host 0.0.0.0
    """  # noqa: D301 - click reads \b, which must not be escaped
    from search_spaces.errors import StoreError, StudyNotFoundError
    from studies.commands.output import print_json
    from studies.commands.reading import history_of
    from studies.interruption import catching_interrupts
    from tracking.history.summary import describe_study
    from tracking.mlflow_parts import knows_views
    from tracking.runs.pages import VIEWS
    from tracking.runs.parents import study_experiments
    from tracking.store.folder import default_store_path, open_store
    from tracking.ui.server import free_place, serving
    from tracking.ui.views import prepare_views

    place, pages, studies = free_place(host, port, token=token), {}, {}
    known = knows_views()
    if study is not None:
        history = history_of(study, engine, store)
        opened, experiment_id = history.store, history.experiment_id
        if known:
            # Of an older version's study too.
            prepare_views(history)
            describe_study(opened, experiment_id)
        pages = {each: place.study_page(experiment_id, each if known else "") for each in VIEWS}
    else:
        path = store if store is not None else default_store_path()
        found = open_store(path)
        if found is None:
            raise StudyNotFoundError(
                f"There is no store at {str(path)!r}. Name one with --store, or start a study "
                "with: kerastudy launch digits"
            )
        opened = found
        # A click in MLflow's own list leads to the side of traces.
        newest = sorted(study_experiments(opened), key=lambda e: -(e.last_update_time or 0))
        studies = {
            each.name: place.study_page(each.experiment_id, view if known else "")
            for each in newest[:_SHOWN]
        }
        # While the server starts, which takes longer.
        threading.Thread(target=_describe_studies, args=(opened,)).start()

    stopped = threading.Event()
    click.echo("starting MLflow's server …", err=True)
    # Around all of it: what starts the server must also end it.
    with (
        catching_interrupts(stopped.set),
        contextlib.suppress(KeyboardInterrupt),
        serving(opened, place, stopped) as server,
    ):
        if not stopped.is_set():
            page = pages.get(view, place.studies_page)
            if as_json:
                print_json(
                    {
                        "study": None if study is None else history.description.name,
                        "url": page,
                        "views": pages,
                        "studies": studies,
                        "address": place.address,
                        "token": place.token or None,
                        "pid": server.pid,
                    }
                )
            else:
                named = [f"{name}: {address}" for name, address in studies.items()]
                tell("\n".join([page, *named, "Ctrl-C stops it."]))
            sys.stdout.flush()
            if open_browser if open_browser is not None else sys.stdout.isatty():
                webbrowser.open(page)
        while server.poll() is None and not stopped.wait(0.2):
            pass
    if stopped.is_set():
        click.echo("stopped", err=True)
        return
    raise StoreError("MLflow's server ended by itself.")


def _describe_studies(store: Store) -> None:
    """Writes each study's description again: a process that was killed could not."""
    from tracking.history.summary import describe_study
    from tracking.runs.parents import study_experiments

    # The UI shows a store whose record is damaged, too.
    with contextlib.suppress(Exception):
        for experiment in study_experiments(store):
            with contextlib.suppress(Exception):
                describe_study(store, experiment.experiment_id)
