"""``kerastudy report``."""

from __future__ import annotations

import sys
import webbrowser
from pathlib import Path

import click

from studies.commands.command_line import json_option, store_option, tell, telling_errors


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
    """  # noqa: D301 - click reads \b, which must not be escaped
    from studies.commands.output import print_json
    from studies.commands.reading import histories_of
    from studies.exporting.files import check_free, explained
    from studies.progress import waiting
    from tracking.report.write import write_comparison, write_report
    from tracking.store.atomic import followed, write_atomically
    from tracking.store.folder import default_store_path

    if output is not None:
        output = output.expanduser().absolute()
        # A report is made again and again: it replaces the former one.
        check_free(output, force=True)
        output = followed(output)
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
