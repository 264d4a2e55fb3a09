"""Pages to look at: ``kerastudy report``, ``ui`` and ``push``."""

from __future__ import annotations

import contextlib
import sys
import threading
import webbrowser
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from studies.commands.command_line import (
    json_option,
    print_json,
    store_option,
    tell,
    telling_errors,
)

if TYPE_CHECKING:
    from tracking.store.folder import Store


@click.command("report", short_help="Make a report of a study, or of several side by side.")
@click.argument("studies", nargs=-1, required=True, metavar="STUDY...")
@click.option(
    "--engine",
    "engines",
    multiple=True,
    help="Which engine's trials; may be repeated.  [default: that of the best trial]",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write.  [default: among the study's artifacts; of several: comparison.html]",
)
@click.option(
    "--open/--no-open",
    "open_browser",
    default=None,
    help="Whether to open a browser.  [default: on a terminal]",
)
@store_option
@json_option
@telling_errors
def report_command(
    studies: tuple[str, ...],
    engines: tuple[str, ...],
    output: Path | None,
    open_browser: bool | None,
    store: Path | None,
    as_json: bool,
) -> None:
    """Make a report of a study: one HTML file, which needs no network.

    It is among the artifacts of the study's run too. Several studies, or several engines of one,
    make a report that compares them.

    \b
    kerastudy report digits
    kerastudy report digits --output digits.html --no-open
    kerastudy report digits digits-wide
    kerastudy report digits --engine tpe --engine keras-tuner:hyperband
    """
    from studies.commands.records import histories_of
    from studies.exporting.files import explained, file_for
    from studies.progress import waiting
    from tracking.report.write import write_comparison, write_report
    from tracking.store.files import write_atomically
    from tracking.store.folder import default_store_path

    if output is not None:
        # A report is made again and again: it replaces the former one.
        output = file_for(output, "", force=True)
    histories = histories_of(studies, engines, store)
    page = output or Path("comparison.html").absolute()
    with waiting("writing the report"):
        if len(histories) > 1:
            with explained(page):
                write_comparison(histories, page)
        else:
            page = write_report(histories[0], default_store_path().absolute())
            if output is not None:
                with explained(output):
                    write_atomically(output, page.read_text(encoding="utf-8"))
                page = output
    if as_json:
        print_json(
            {
                "report": str(page),
                "url": page.as_uri(),
                "bytes": page.stat().st_size,
                "studies": [
                    {"study": each.description.name, "engine": each.description.engine}
                    for each in histories
                ],
            }
        )
    else:
        tell(str(page))
    if open_browser if open_browser is not None else sys.stdout.isatty():
        webbrowser.open(page.as_uri())


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
    """
    from search_spaces.errors import StoreError
    from studies.commands.records import history_of, store_of
    from studies.interruption import catching_interrupts
    from tracking.history.summary import describe_study
    from tracking.mlflow_parts import knows_views
    from tracking.runs.pages import VIEWS
    from tracking.runs.parents import study_experiments
    from tracking.ui.server import free_place, serving
    from tracking.ui.views import prepare_views

    place, pages, studies = free_place(host, port, token=token), {}, {}
    known = knows_views()
    if study is not None:
        history = history_of(study, engine, store)
        opened, experiment_id = history.store, history.experiment_id
        if known:
            # The launch may have been killed before it could.
            prepare_views(history)
            describe_study(opened, experiment_id)
        pages = {each: place.study_page(experiment_id, each if known else "") for each in VIEWS}
    else:
        opened = store_of(store)
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
    """
    from search_spaces.errors import StudyError
    from studies.commands.records import history_of
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
